// pion's log lines hold addresses and usernames, so all of them go to debug, whatever level pion gives them.

package relay

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/pion/logging"
)

type pionLog struct{ log *slog.Logger }

// NewLogger implements logging.LoggerFactory.
func (p pionLog) NewLogger(scope string) logging.LeveledLogger {
	return pionLog{p.log.With("scope", scope)}
}

func (p pionLog) printf(format string, args ...any) {
	if p.log.Enabled(context.Background(), slog.LevelDebug) {
		p.log.Debug("turn: " + fmt.Sprintf(format, args...))
	}
}

func (p pionLog) Trace(msg string)                  { p.printf("%s", msg) }
func (p pionLog) Tracef(format string, args ...any) { p.printf(format, args...) }
func (p pionLog) Debug(msg string)                  { p.printf("%s", msg) }
func (p pionLog) Debugf(format string, args ...any) { p.printf(format, args...) }
func (p pionLog) Info(msg string)                   { p.printf("%s", msg) }
func (p pionLog) Infof(format string, args ...any)  { p.printf(format, args...) }
func (p pionLog) Warn(msg string)                   { p.printf("%s", msg) }
func (p pionLog) Warnf(format string, args ...any)  { p.printf(format, args...) }
func (p pionLog) Error(msg string)                  { p.printf("%s", msg) }
func (p pionLog) Errorf(format string, args ...any) { p.printf(format, args...) }
