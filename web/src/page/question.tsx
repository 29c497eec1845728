// The agent's question as a native dialog: focus on the refusing button, Escape refuses, the other button works
// after a second and only for a person's own click (security.md T23).

import { useEffect, useRef, useState } from 'preact/hooks';
import { ARM_MS } from '../core/consent.ts';
import type { Props } from './app.tsx';
import { LockIcon, ScreenIcon } from './icons.tsx';
import type { Prompt } from './model.ts';

export function Question({ client, model, prompt }: Props & { prompt: Prompt }) {
  const { text } = model;
  const dialog = useRef<HTMLDialogElement>(null);
  const refuse = useRef<HTMLButtonElement>(null);
  const [armed, setArmed] = useState(false);
  useEffect(() => {
    const element = dialog.current;
    element?.showModal();
    refuse.current?.focus();
    setArmed(false);
    const timer = setTimeout(() => setArmed(true), Math.max(0, prompt.sinceMs + ARM_MS - Date.now()) + 20);
    return () => {
      clearTimeout(timer);
      element?.close();
    };
  }, [prompt.kind, prompt.session, prompt.sinceMs]);

  const agent = prompt.agent || text.agent;
  const { kind } = prompt;
  const extend = kind === 'extend';
  const yes = extend ? text.keep : kind === 'view' ? text.choose : text.allow;
  const why = {
    extend: text.askExtendText,
    view: text.askViewText,
    direct: text.askDirectText,
    record: text.askRecordText,
  };
  return (
    <dialog
      ref={dialog}
      class="question"
      aria-labelledby="question-title"
      aria-describedby="question-text"
      onCancel={(event) => {
        event.preventDefault();
        client.sharing.answer(false);
      }}
    >
      <span class="badge">{kind === 'direct' ? <LockIcon /> : <ScreenIcon />}</span>
      <h2 id="question-title">
        {extend ? (
          text.askExtend
        ) : kind === 'direct' ? (
          text.askDirect(agent)
        ) : kind === 'record' ? (
          text.askRecord(agent)
        ) : (
          <AskView model={model} agent={agent} />
        )}
      </h2>
      <p id="question-text">{why[kind]}</p>
      <div class="answers">
        <button type="button" ref={refuse} onClick={() => client.sharing.answer(false)}>
          {extend ? text.stop : text.deny}
        </button>
        <button
          type="button"
          class="primary"
          aria-disabled={!armed}
          onClick={(event) => {
            if (event.isTrusted) client.sharing.answer(true); //guard:T23
          }}
        >
          {yes}
        </button>
      </div>
    </dialog>
  );
}

function AskView({ model, agent }: { model: Props['model']; agent: string }) {
  const [before, see, after] = model.text.askView(agent, model.site || model.text.title);
  return (
    <>
      {before}
      <strong>{see}</strong>
      {after}
    </>
  );
}
