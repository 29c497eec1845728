// The line above the composer: what a person should know now about the connection, the queue and typing.

import type { Props } from './app.tsx';
import type { Model } from './model.ts';
import { useNow } from './now.ts';

const UNREACHABLE_AFTER = 2; // failures in a row

export function Strip({ client, model }: Props) {
  const { text, link } = model;
  const now = useNow(1000, model.hold !== null || link.type === 'waiting');
  if (link.type === 'stopped') {
    const [sentence, button, act] = stopped(client, model, link.code);
    return (
      <div class="strip bad" role="alert">
        <p>{sentence}</p>
        {button !== '' && (
          <button type="button" onClick={act}>
            {button}
          </button>
        )}
      </div>
    );
  }
  const typing = model.typing !== '';
  return (
    <>
      {model.failures >= UNREACHABLE_AFTER && link.type !== 'online' && (
        <div class="strip bad">
          <p aria-live="polite">{text.unreachable}</p>
          {link.type === 'waiting' && (
            <button type="button" onClick={() => client.socket?.again()}>
              {text.tryNow}
            </button>
          )}
        </div>
      )}
      {model.hold !== null && model.hold.untilMs > now ? (
        <div class="strip">
          <p>{held(text, model.hold.code, Math.ceil((model.hold.untilMs - now) / 1000))}</p>
        </div>
      ) : (
        model.slow && (
          <div class="strip">
            <p aria-live="polite">{text.slow}</p>
          </div>
        )
      )}
      <div class="strip quiet" aria-live="polite">
        {typing ? (
          <p class="typing">
            <span class="dots" aria-hidden="true">
              <i />
              <i />
              <i />
            </span>
            {text.typing(model.typing)}
          </p>
        ) : (
          <p>{queue(model)}</p>
        )}
        {!model.kept && <p class="memory">{text.memoryOnly}</p>}
      </div>
    </>
  );
}

/** Why the outbox waits, and for how long. */
function held(text: Model['text'], code: string, seconds: number): string {
  switch (code) {
    case 'E_READONLY':
      return text.cantSave;
    case 'E_RETRY':
      return text.slow;
    case 'E_QUEUE_FULL':
      return text.queueFull(seconds);
    case 'E_CONV_LIMIT':
      return text.tooManyNew(seconds);
    default:
      return text.busy(seconds);
  }
}

function queue(model: Model): string {
  const { text, conversation, team, log } = model;
  if (conversation === null || log.lastSeq === 0) {
    return team !== null && team.available === 0 ? text.nobody : '';
  }
  switch (conversation.state) {
    case 'waiting':
      if (team !== null && team.available === 0) return conversation.missed === true ? text.missed : text.nobody;
      if (conversation.position === undefined) return '';
      return conversation.position === 1 ? text.next : text.position(conversation.position);
    case 'closed':
      return text.closed;
    default:
      return '';
  }
}

function stopped(client: Props['client'], model: Model, code: number): [string, string, () => void] {
  const { text } = model;
  const reload = () => location.reload();
  switch (code) {
    case 4503:
      return [text.stoppedReplaced, text.useHere, () => client.socket?.again()];
    case 4504:
      return [text.stoppedVersion, text.reload, reload];
    case 4502:
      return [text.stoppedRevoked, '', reload];
    case 4501:
      return [text.stoppedAuth, text.reload, reload];
    default:
      return [text.stoppedOther, text.reload, reload];
  }
}
