// The customer's page as a whole: header, what is shared, the conversation, the composer, the question.

import { useEffect, useRef } from 'preact/hooks';
import { unread } from '../core/log.ts';
import { langTag } from '../core/text.ts';
import type { Client } from './client.ts';
import { Composer } from './composer.tsx';
import { Conversation } from './conversation.tsx';
import { Header } from './header.tsx';
import { AlertIcon, CloseIcon } from './icons.tsx';
import type { Model } from './model.ts';
import { Question } from './question.tsx';
import { Stage } from './stage.tsx';
import { Strip } from './strip.tsx';

export interface Props {
  readonly client: Client;
  readonly model: Model;
}

const ESC_TWICE_MS = 2_000;

export function App({ client, model }: Props) {
  const { text, shown, log, visible, lang } = model;
  const waiting = visible ? 0 : unread(log);
  const base = model.site === '' ? text.title : `${text.title} · ${model.site}`;
  const title = shown !== null ? text.sharingTitle(base) : waiting > 0 ? text.unreadTitle(waiting, base) : base;
  useEffect(() => {
    document.title = title;
  }, [title]);
  useEffect(() => {
    document.documentElement.lang = langTag(lang);
  }, [lang]);
  useEscape(client, shown !== null);

  const blocked = blockedBy(model);
  if (blocked !== '') {
    return (
      <div class="app">
        <Header client={client} model={{ ...model, link: { type: 'stopped', code: 0, reason: '' } }} />
        <main class="blocked">
          <AlertIcon />
          <p>{blocked}</p>
        </main>
      </div>
    );
  }
  return (
    <div class={shown === null ? 'app' : 'app sharing'}>
      <Header client={client} model={model} />
      <Stage client={client} model={model} />
      <main class="chat">
        <Conversation client={client} model={model} />
        <Strip client={client} model={model} />
        {model.notice !== null && (
          <div class={`notice ${model.notice.kind}`} role="alert">
            <AlertIcon />
            <p>{model.notice.text}</p>
            <button
              type="button"
              class="quiet round"
              aria-label={text.dismiss}
              onClick={() => client.update({ notice: null })}
            >
              <CloseIcon />
            </button>
          </div>
        )}
        {/* Only once the kept draft is read: it would replace what was typed before. */}
        {model.loaded && <Composer client={client} model={model} />}
      </main>
      {model.prompt !== null && <Question client={client} model={model} prompt={model.prompt} />}
    </div>
  );
}

function blockedBy(model: Model): string {
  if (!globalThis.isSecureContext || crypto.subtle === undefined) return model.text.insecure;
  return typeof WebSocket === 'undefined' || typeof HTMLDialogElement === 'undefined' ? model.text.outdated : '';
}

/** Escape stops sharing: at once outside the composer, at the second press within it. */
function useEscape(client: Client, sharing: boolean): void {
  const pressedMs = useRef(0);
  useEffect(() => {
    if (!sharing) return;
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== 'Escape' || event.isComposing || event.repeat) return;
      if (document.querySelector('dialog[open]') !== null) return; // there it means "Don't allow"
      const inComposer = event.target instanceof HTMLTextAreaElement;
      if (inComposer && event.timeStamp - pressedMs.current > ESC_TWICE_MS) {
        pressedMs.current = event.timeStamp;
        client.update({ notice: { text: client.model.text.escTwice, kind: 'info' } });
        return;
      }
      client.sharing.stop();
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, [client, sharing]);
}
