// Where the customer writes, and the two things that go beyond chat: the direct switch and "Share my screen".

import { useEffect, useRef } from 'preact/hooks';
import { shows } from '../browser/picker.ts';
import { codePoints } from '../core/decode.ts';
import type { Props } from './app.tsx';
import { LockIcon, ScreenIcon, SendIcon } from './icons.tsx';
import { agentName, type Model } from './model.ts';

export function Composer({ client, model }: Props) {
  const { text } = model;
  const input = useRef<HTMLTextAreaElement>(null);
  const share = useRef<HTMLButtonElement>(null);
  const tooLong = codePoints(model.draft) > model.maxChars;
  const empty = model.draft.trim() === '';
  const why = noShare(model);
  const sharing = model.consent.state === 'on';

  useEffect(() => {
    // Ready to write at once, except on touch screens, where that would open the keyboard.
    if (model.loaded && matchMedia('(pointer: fine)').matches) input.current?.focus({ preventScroll: true });
  }, [model.loaded]);

  const shown = model.shown !== null;
  const was = useRef(shown);
  useEffect(() => {
    if (was.current === shown) return;
    was.current = shown;
    // The button that was pressed is gone, and the focus with it: on to its counterpart.
    if (document.activeElement !== null && document.activeElement !== document.body) return;
    const next = shown ? document.querySelector<HTMLElement>('.stage .stop') : share.current;
    next?.focus({ preventScroll: true });
  }, [shown]);

  const send = () => {
    client.send();
    input.current?.focus();
  };
  return (
    <form
      class={model.directOn ? 'composer direct' : 'composer'}
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <div class="field">
        <textarea
          ref={input}
          rows={1}
          dir="auto"
          aria-label={text.message}
          aria-describedby="message-help"
          aria-invalid={tooLong}
          enterkeyhint="send"
          placeholder={model.directOn ? text.directHint : text.messageHint}
          value={model.draft}
          onInput={(event) => client.draft(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return;
            event.preventDefault();
            send();
          }}
        />
        <button type="submit" class="send" aria-label={text.send} disabled={empty || tooLong}>
          <SendIcon />
        </button>
      </div>
      <p id="message-help" class={tooLong ? 'help bad' : 'hidden'}>
        {tooLong ? text.tooLong(model.maxChars) : text.messageHelp}
      </p>
      <div class="tools">
        {!sharing && (
          <button
            ref={share}
            type="button"
            class="share"
            aria-disabled={why !== ''}
            aria-describedby={why === '' ? undefined : 'share-why'}
            onClick={() => {
              if (why === '') client.sharing.click(shows() ?? 'screen');
            }}
          >
            <ScreenIcon />
            {shows() === 'camera' ? text.shareCamera : text.share}
          </button>
        )}
        <button
          type="button"
          role="switch"
          class="switch"
          aria-checked={model.directOn}
          aria-label={text.directSwitch}
          aria-describedby="direct-why"
          onClick={() => client.sharing.direct(!model.directOn)}
        >
          <LockIcon />
          <span>{text.directSwitch}</span>
          <span class="knob" aria-hidden="true" />
        </button>
        {why !== '' && !sharing && (
          <p id="share-why" class="help">
            {why}
          </p>
        )}
        <p id="direct-why" class={model.directOn ? 'help' : 'hidden'}>
          {agentName(model) === '' && model.directOn ? text.directNeedsAgent : text.directWhy}
        </p>
      </div>
    </form>
  );
}

/** Why the screen can't be shared now; '' when it can. */
function noShare(model: Model): string {
  const { text } = model;
  if (shows() === null) return text.shareCant;
  if (model.session?.elsewhere) return text.otherTab;
  if (agentName(model) === '') return text.shareNeedsAgent;
  if (model.link.type !== 'online' && model.session?.phase !== 'connected') return text.shareOffline;
  return model.consent.state === 'picking' ? text.picking : '';
}
