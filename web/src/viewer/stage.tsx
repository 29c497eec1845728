// The picture in front, where it lies, and the hands on it: drag, wheel, pinch. The frozen picture lies over the live
// one, whole or up to a divider.

import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { ViewerText } from '../core/text.viewer.ts';
import { FIT, type Place, pan, place, type Size, scaleOf, type View, zoom } from './view.ts';

const SMOOTH_BELOW = 2; // device pixels a picture pixel; above, pixels are shown as they are
const WHEEL_ZOOM = 0.0025; // e-folds a pixel of the wheel

export interface Frozen {
  readonly canvas: HTMLCanvasElement;
  readonly stream: number;
  readonly atMs: number;
}

/** The stage's size in device pixels; null before it is known. */
export function useStage(): [{ current: HTMLElement | null }, Size | null] {
  const ref = useRef<HTMLElement | null>(null);
  const [size, set] = useState<Size | null>(null);
  useLayoutEffect(() => {
    const element = ref.current;
    if (element === null) return;
    const measure = () => {
      const { width, height } = element.getBoundingClientRect();
      const scale = devicePixelRatio;
      const next = { width: Math.floor(width * scale), height: Math.floor(height * scale) };
      set((old) => (old?.width === next.width && old.height === next.height ? old : next));
    };
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    addEventListener('resize', measure); // also when only the page's zoom changes
    let scale: MediaQueryList | null = null;
    const watch = () => {
      scale?.removeEventListener('change', watch);
      scale = matchMedia(`(resolution: ${devicePixelRatio}dppx)`); // another screen
      scale.addEventListener('change', watch);
      measure();
    };
    watch();
    return () => {
      observer.disconnect();
      scale?.removeEventListener('change', watch);
      removeEventListener('resize', measure);
    };
  }, []);
  return [ref, size];
}

interface Props {
  readonly text: ViewerText;
  readonly canvas: HTMLCanvasElement | null;
  readonly picture: Size | null;
  readonly frozen: Frozen | null;
  /** percent of the picture's width that is frozen; null: all of it */
  readonly divider: number | null;
  readonly view: View;
  readonly stage: Size | null;
  readonly element: { current: HTMLElement | null };
  onView(view: View): void;
}

export function Stage({ text, canvas, picture, frozen, divider, view, stage, element, onView }: Props) {
  const live = useRef<HTMLDivElement>(null);
  const still = useRef<HTMLDivElement>(null);
  useHands({ element, picture, view, stage, onView });
  useLayoutEffect(() => {
    if (canvas === null) live.current?.replaceChildren();
    else {
      canvas.setAttribute('role', 'img');
      canvas.setAttribute('aria-label', text.screen);
      live.current?.replaceChildren(canvas);
    }
  }, [canvas, text]);
  useLayoutEffect(() => {
    if (frozen !== null) still.current?.replaceChildren(frozen.canvas);
    else still.current?.replaceChildren();
  }, [frozen]);
  useLayoutEffect(() => {
    if (stage === null || element.current === null) return;
    const rect = element.current.getBoundingClientRect();
    const lies = picture === null ? null : place(view, picture, stage);
    if (canvas !== null && picture !== null && lies !== null) put(canvas, picture, lies, rect);
    if (frozen === null) return;
    // Side by side they lie in the same place; alone the frozen one keeps its own size.
    const own = divider !== null && lies !== null ? lies : place(view, frozen.canvas, stage);
    put(frozen.canvas, frozen.canvas, own, rect);
    frozen.canvas.style.clipPath = divider === null ? '' : `inset(0 ${100 - divider}% 0 0)`;
  });
  return (
    <>
      <div class="picture" ref={live} />
      <div class="picture" ref={still} />
    </>
  );
}

/**
 * Gives a canvas its place: whole device pixels from the window's corner. By a transform, because lengths of the layout
 * are rounded to 1/64 pixel, and a picture that is 300.98 pixels wide is blurred.
 */
function put(canvas: HTMLCanvasElement, picture: Size, lies: Place, stage: DOMRect): void {
  const scale = devicePixelRatio;
  const left = (Math.round(stage.left * scale) + lies.left) / scale;
  const top = (Math.round(stage.top * scale) + lies.top) / scale;
  const across = lies.width / picture.width / scale;
  const down = lies.height / picture.height / scale;
  const { style } = canvas;
  style.width = `${picture.width}px`;
  style.height = `${picture.height}px`;
  style.transform = `matrix(${across}, 0, 0, ${down}, ${left}, ${top})`;
  style.imageRendering = lies.scale > SMOOTH_BELOW ? 'pixelated' : 'auto';
}

type Hands = Pick<Props, 'element' | 'picture' | 'view' | 'stage' | 'onView'>;

/** Drag, wheel and pinch. The handlers stay; what they need is renewed at each render. */
function useHands(hands: Hands): void {
  const now = useRef(hands);
  now.current = hands;
  useEffect(() => {
    const element = now.current.element.current;
    if (element === null) return;
    const down = new Map<number, { x: number; y: number }>();
    const at = (x: number, y: number) => {
      const rect = element.getBoundingClientRect();
      return { x: (x - rect.left) * devicePixelRatio, y: (y - rect.top) * devicePixelRatio };
    };
    const change = (fn: (view: View, picture: Size, stage: Size) => View) => {
      const { picture, stage, view, onView } = now.current;
      if (picture !== null && stage !== null) {
        now.current = { ...now.current, view: fn(view, picture, stage) }; // several may come before the next render
        onView(now.current.view);
      }
    };
    const onDown = (event: PointerEvent) => {
      if (event.button !== 0 || (event.target as Element).closest('button, input, aside, .over') !== null) return;
      down.set(event.pointerId, { x: event.clientX, y: event.clientY });
      element.setPointerCapture(event.pointerId);
    };
    const onMove = (event: PointerEvent) => {
      const from = down.get(event.pointerId);
      if (from === undefined) return;
      const [before, middle] = span(down);
      const dx = (from.x - event.clientX) * devicePixelRatio;
      const dy = (from.y - event.clientY) * devicePixelRatio;
      down.set(event.pointerId, { x: event.clientX, y: event.clientY });
      if (down.size === 1) change((view, picture, stage) => pan(view, picture, stage, dx, dy));
      else if (down.size === 2 && before > 0) {
        const [after] = span(down);
        const centre = at(middle.x, middle.y);
        change((view, picture, stage) =>
          zoom(view, picture, stage, (scaleOf(view, picture, stage) * after) / before, centre),
        );
      }
    };
    const onUp = (event: PointerEvent) => down.delete(event.pointerId);
    const onWheel = (event: WheelEvent) => {
      if ((event.target as Element).closest('aside, .over') !== null) return;
      const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
      if (event.ctrlKey || event.metaKey) {
        event.preventDefault(); // the browser would zoom the page
        const factor = Math.exp(-event.deltaY * lines * WHEEL_ZOOM);
        const centre = at(event.clientX, event.clientY);
        change((view, picture, stage) => zoom(view, picture, stage, scaleOf(view, picture, stage) * factor, centre));
      } else if (now.current.view.scale !== null) {
        event.preventDefault();
        const { deltaX, deltaY } = event;
        change((view, picture, stage) =>
          pan(view, picture, stage, deltaX * lines * devicePixelRatio, deltaY * lines * devicePixelRatio),
        );
      }
    };
    const onDouble = (event: MouseEvent) => {
      if ((event.target as Element).closest('button, input, aside, .over') !== null) return;
      const centre = at(event.clientX, event.clientY);
      change((view, picture, stage) => (view.scale === null ? zoom(view, picture, stage, 1, centre) : FIT));
    };
    element.addEventListener('pointerdown', onDown);
    element.addEventListener('pointermove', onMove);
    element.addEventListener('pointerup', onUp);
    element.addEventListener('pointercancel', onUp);
    element.addEventListener('wheel', onWheel, { passive: false });
    element.addEventListener('dblclick', onDouble);
    return () => {
      element.removeEventListener('pointerdown', onDown);
      element.removeEventListener('pointermove', onMove);
      element.removeEventListener('pointerup', onUp);
      element.removeEventListener('pointercancel', onUp);
      element.removeEventListener('wheel', onWheel);
      element.removeEventListener('dblclick', onDouble);
    };
  }, []);
}

/** How far two fingers are from each other, and the point between them. */
function span(down: ReadonlyMap<number, { x: number; y: number }>): [number, { x: number; y: number }] {
  const [a, b] = [...down.values()];
  if (a === undefined || b === undefined) return [0, { x: 0, y: 0 }];
  return [Math.hypot(a.x - b.x, a.y - b.y), { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 }];
}
