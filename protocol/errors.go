package protocol

import "fmt"

// UserError is a refusal that is said to the person and leaves the connection open.
type UserError struct {
	Code         Code
	Text         string // one sentence for a person: what happened and what to do
	RetryAfterMs int64  // milliseconds, where waiting helps
}

func (e *UserError) Error() string { return string(e.Code) + ": " + e.Text }

// Userf makes a UserError.
func Userf(code Code, format string, args ...any) *UserError {
	return &UserError{Code: code, Text: fmt.Sprintf(format, args...)}
}

// BadMessageError says how a message breaks the contract: the other program is wrong, not the person.
type BadMessageError struct {
	Type   string    // the message's type where it could be read
	ID     RequestID // the request's id where it could be read
	Reason string
}

func (e *BadMessageError) Error() string {
	if e.Type == "" {
		return "bad message: " + e.Reason
	}
	return "bad message " + e.Type + ": " + e.Reason
}
