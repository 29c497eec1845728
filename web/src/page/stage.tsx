// What the customer must always see while connected: what is shown, to whom, since when, whether it was checked,
// a mirror of what is sent, and the way to stop.

import { useEffect, useRef } from 'preact/hooks';
import { canFilm, canShare, type Surface } from '../browser/picker.ts';
import { sizeOf } from '../browser/picture.ts';
import { MAX_STREAMS } from '../core/protocol.gen.ts';
import { clock } from '../core/text.ts';
import type { Props } from './app.tsx';
import { CameraIcon, PlusIcon, ShieldIcon, StopIcon, SwapIcon } from './icons.tsx';
import type { Model, Session } from './model.ts';
import { useNow } from './now.ts';

const MIRROR_WIDTH = 480;
const MIRROR_EVERY_MS = 200;
const MIRROR_EVERY_MONITOR_MS = 1000; // a whole screen shows the mirror too: each drawing is a new picture

export function Stage({ client, model }: Props) {
  const { text, shown, session } = model;
  const now = useNow(1000, shown !== null);
  if (shown === null) return <SessionLine client={client} model={model} />;
  const agent = session?.agent || text.agent;
  const first = shown.sources[0]?.stream ?? 0;
  const filming = shown.sources.some(({ surface }) => surface === 'camera');
  const what = canShare() ? 'screen' : 'camera';
  const left = Math.max(1, Math.ceil((model.consent.untilMs - now) / 60_000));
  return (
    <section class="stage" aria-label={text.sharing}>
      <div class="bar">
        <span class="live" aria-hidden="true" />
        <p class="what">
          <strong>{text.canSee(agent, shown.sources.map(({ surface }) => text[surface]).join(text.and))}</strong>
          <span class="time">
            <span class="hidden">{text.since} </span>
            <time>{clock(now - shown.sinceMs)}</time> · {text.left(left)}
          </span>
        </p>
        <button type="button" class="stop" onClick={() => client.sharing.stop()}>
          <StopIcon />
          {text.stop}
        </button>
        {model.consent.record === 'on' && (
          <div class="rec">
            <p role="status">
              <strong>{text.recMark}</strong> {text.recording(agent)}
            </p>
            <span class="time">
              <span class="hidden">{text.since} </span>
              <time>{clock(now - model.consent.recordMs)}</time>
            </span>
            <button type="button" class="small" onClick={() => client.sharing.picture.consent('record:stop')}>
              {text.stopRecording}
            </button>
          </div>
        )}
      </div>
      <div class="chips">
        <span class="chip grey" title={text.notCheckedWhy}>
          <ShieldIcon />
          {text.notChecked}
        </span>
        {session !== null && session.path !== '' && (
          <span class="chip">{session.path === 'direct' ? text.direct : text.relay}</span>
        )}
        <PathState model={model} session={session} />
        {shown.level !== 'video' && (
          <span class="chip wait" role="status" title={text.levelWhy}>
            {shown.level === 'stills' ? text.levelStills : text.levelNone}
          </span>
        )}
      </div>
      <div class={shown.sources.length > 1 ? 'mirrors many' : 'mirrors'}>
        {shown.sources.map(({ stream, surface }) => (
          <Mirror key={stream} client={client} model={model} stream={stream} surface={surface} />
        ))}
      </div>
      <div class="actions">
        {shown.sources.length === 1 && (
          <button type="button" onClick={() => client.sharing.picture.replace(first, what)}>
            <SwapIcon />
            {text.showElse}
          </button>
        )}
        {canShare() && shown.sources.length < MAX_STREAMS && (
          <button type="button" onClick={() => client.sharing.picture.add('screen')}>
            <PlusIcon />
            {text.addScreen}
          </button>
        )}
        {canFilm() && shown.sources.length < MAX_STREAMS && !filming && (
          <button type="button" onClick={() => client.sharing.picture.add('camera')}>
            <CameraIcon />
            {text.addCamera}
          </button>
        )}
        <button type="button" class="quiet" onClick={() => client.sharing.disconnect()}>
          {text.disconnect}
        </button>
      </div>
      <p class="money">{text.money}</p>
    </section>
  );
}

function PathState({ model, session }: { model: Model; session: Session | null }) {
  const { text } = model;
  const words =
    session === null || session.phase === 'requested'
      ? text.requestSent(session?.agent || text.agent)
      : session.phase === 'connecting'
        ? text.connectingPeer(session.agent || text.agent)
        : session.phase === 'reconnecting'
          ? text.pathBroken(clock(session.silenceMs))
          : session.viewer
            ? ''
            : text.waitingViewer;
  return (
    <span
      class={words === '' ? 'hidden' : 'chip wait'}
      role="status"
      aria-live="polite"
      title={session?.phase === 'reconnecting' ? text.pathBrokenWhy : ''}
    >
      {words}
    </span>
  );
}

interface MirrorProps extends Props {
  readonly stream: number;
  readonly surface: Surface;
}

/** A small copy of each frame of a source that is handed to the encoder. */
function Mirror({ client, model, stream, surface }: MirrorProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const { picture } = client.sharing;
  const { text } = model;
  const several = (model.shown?.sources.length ?? 0) > 1;
  const everyMs = surface === 'monitor' ? MIRROR_EVERY_MONITOR_MS : MIRROR_EVERY_MS;
  useEffect(() => {
    const context = canvas.current?.getContext('2d', { alpha: false });
    if (!context) return;
    let drawnMs = 0;
    picture.mirrors.set(stream, (frame) => {
      const now = performance.now();
      if (document.visibilityState === 'hidden' || now - drawnMs < everyMs) return;
      drawnMs = now;
      const { canvas: target } = context;
      const [wide, high] = sizeOf(frame);
      const height = Math.max(1, Math.round((MIRROR_WIDTH * high) / wide));
      if (target.width !== MIRROR_WIDTH || target.height !== height) {
        target.width = MIRROR_WIDTH;
        target.height = height;
      }
      context.drawImage(frame, 0, 0, target.width, target.height);
    });
    picture.redraw();
    const onVisible = () => {
      drawnMs = 0;
      if (document.visibilityState === 'visible') picture.redraw();
    };
    document.addEventListener('visibilitychange', onVisible);
    return () => {
      document.removeEventListener('visibilitychange', onVisible);
      picture.mirrors.delete(stream);
    };
  }, [picture, stream, everyMs]);
  const broken = model.session?.phase === 'reconnecting';
  return (
    <figure class={broken ? 'mirror broken' : 'mirror'}>
      <canvas
        ref={canvas}
        width={MIRROR_WIDTH}
        height={270}
        role="img"
        aria-label={several ? `${text.mirror} (${text[surface]})` : text.mirror}
      />
      <figcaption>
        {broken ? text.pathBrokenWhy : several ? text[surface] : text.mirror}
        {several && (
          <button type="button" class="small quiet" onClick={() => picture.remove(stream)}>
            {text.removeSource(text[surface])}
          </button>
        )}
      </figcaption>
    </figure>
  );
}

/** A session without a picture. */
function SessionLine({ client, model }: Props) {
  const { text, session, consent } = model;
  if (session === null || (session.phase === 'requested' && model.prompt !== null)) return null;
  const agent = session.agent || text.agent;
  const words = session.elsewhere
    ? text.otherTab
    : consent.state === 'picking'
      ? text.picking
      : session.phase === 'requested'
        ? text.requestSent(agent)
        : session.phase === 'connecting'
          ? text.connectingPeer(agent)
          : session.phase === 'reconnecting'
            ? text.pathBroken(clock(session.silenceMs))
            : text.connectedPeer(agent);
  return (
    <section class="session" aria-label={text.direct}>
      <span class={session.phase === 'connected' ? 'dot good' : 'dot wait'} aria-hidden="true" />
      <p role="status">{words}</p>
      {session.phase === 'connected' && !session.elsewhere && (
        <span class="chip grey" title={text.notCheckedWhy}>
          <ShieldIcon />
          {text.notChecked}
        </span>
      )}
      {!session.elsewhere && (
        <button type="button" class="small quiet" onClick={() => client.sharing.disconnect()}>
          {text.disconnect}
        </button>
      )}
    </section>
  );
}
