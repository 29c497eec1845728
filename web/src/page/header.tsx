// Who is there, how the connection is, and the language.

import type { Lang } from '../core/text.ts';
import { texts } from '../core/text.ts';
import type { Props } from './app.tsx';
import { ChatIcon } from './icons.tsx';
import { agentName, type Model } from './model.ts';

export function Header({ client, model }: Props) {
  const { text } = model;
  const name = agentName(model);
  const status = model.conversation?.agent?.status ?? 'offline';
  return (
    <header class="top">
      {name === '' ? (
        <span class="avatar brand">
          <ChatIcon />
        </span>
      ) : (
        <span class={`avatar ${status}`} aria-hidden="true">
          {[...name][0]}
        </span>
      )}
      <div class="who">
        <h1>{name === '' ? model.site || text.title : name}</h1>
        <p>{name === '' ? presence(model) : `${statusText(model, status)}${model.site && ` · ${model.site}`}`}</p>
      </div>
      <ConnectionState model={model} />
      <label class="lang">
        <span class="hidden">{text.language}</span>
        <select value={model.lang} onChange={(event) => client.speak(event.currentTarget.value === 'zh' ? 'zh' : 'en')}>
          {(Object.keys(texts) as Lang[]).map((lang) => (
            <option key={lang} value={lang}>
              {texts[lang].langName}
            </option>
          ))}
        </select>
      </label>
    </header>
  );
}

function presence(model: Model): string {
  const n = model.team?.available;
  if (n === undefined || n === 0) return model.site === '' ? '' : model.text.title;
  return model.text.someone(n);
}

function statusText(model: Model, status: string): string {
  const { text } = model;
  if (status === 'available') return text.available;
  if (status === 'busy') return text.busyStatus;
  return status === 'away' ? text.away : text.offline;
}

function ConnectionState({ model }: { model: Model }) {
  const { text, link } = model;
  const [kind, words] =
    link.type === 'online'
      ? ['good', text.online]
      : link.type === 'stopped'
        ? ['bad', text.stopped]
        : model.failures === 0
          ? ['wait', text.connecting]
          : ['wait', text.reconnecting];
  return (
    <p class={`connection ${kind}`} role="status" aria-label={text.connection}>
      <span class="dot" aria-hidden="true" />
      <span class="words">{words}</span>
    </p>
  );
}
