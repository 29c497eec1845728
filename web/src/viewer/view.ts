// Where the picture lies: fitted into the window, or at a scale of its own. Pure. Lengths on the screen are device
// pixels, so that at scale 1 one pixel of the picture is one pixel of the screen, exactly.

export interface Size {
  readonly width: number;
  readonly height: number;
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** scale: device pixels a picture pixel; null: fitted. x, y: the point of the picture, in its pixels, at the centre. */
export interface View {
  readonly scale: number | null;
  readonly x: number;
  readonly y: number;
}

export interface Place {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
  readonly scale: number;
}

export const FIT: View = { scale: null, x: 0, y: 0 };
export const SCALE_MIN = 0.1;
export const SCALE_MAX = 16;
const STEPS = [0.1, 0.25, 0.33, 0.5, 0.67, 0.75, 1, 1.25, 1.5, 2, 3, 4, 6, 8, 12, 16];

export function fitScale(picture: Size, stage: Size): number {
  return Math.max(0.001, Math.min(stage.width / picture.width, stage.height / picture.height));
}

export function scaleOf(view: View, picture: Size, stage: Size): number {
  return view.scale ?? fitScale(picture, stage);
}

/** The picture's place in the stage, in whole pixels. What is smaller than the stage is centred, the rest fills it. */
export function place(view: View, picture: Size, stage: Size): Place {
  const scale = scaleOf(view, picture, stage);
  const width = Math.max(1, Math.round(picture.width * scale));
  const height = Math.max(1, Math.round(picture.height * scale));
  const fitted = view.scale === null;
  return {
    left: along(fitted ? width / 2 : view.x * scale, width, stage.width),
    top: along(fitted ? height / 2 : view.y * scale, height, stage.height),
    width,
    height,
    scale,
  };
}

function along(centre: number, length: number, room: number): number {
  if (length <= room) return Math.floor((room - length) / 2);
  return Math.round(Math.min(0, Math.max(room - length, room / 2 - centre)));
}

/** The point of the picture, in its pixels, that lies at a point of the stage. */
export function under(view: View, picture: Size, stage: Size, at: Point): Point {
  const { left, top, scale } = place(view, picture, stage);
  return { x: (at.x - left) / scale, y: (at.y - top) / scale };
}

/** Another scale; the point of the picture at `at` stays there where the edges allow it. */
export function zoom(view: View, picture: Size, stage: Size, scale: number, at: Point): View {
  const next = Math.min(SCALE_MAX, Math.max(SCALE_MIN, scale));
  const point = under(view, picture, stage, at);
  return settle(
    { scale: next, x: point.x + (stage.width / 2 - at.x) / next, y: point.y + (stage.height / 2 - at.y) / next },
    picture,
    stage,
  );
}

/** The next step up (1) or down (−1) from the scale that is shown now. */
export function step(view: View, picture: Size, stage: Size, direction: 1 | -1): number {
  const now = scaleOf(view, picture, stage);
  const steps = direction === 1 ? STEPS : STEPS.toReversed();
  return steps.find((one) => direction * (one - now) > 0.005 * now) ?? now;
}

/** Moves what is shown by so many device pixels: positive uncovers what lies to the right and below. */
export function pan(view: View, picture: Size, stage: Size, dx: number, dy: number): View {
  if (view.scale === null) return view;
  return settle({ ...view, x: view.x + dx / view.scale, y: view.y + dy / view.scale }, picture, stage);
}

/** Keeps the centre where the edges allow it, so that panning back begins at once. */
function settle(view: View, picture: Size, stage: Size): View {
  const scale = scaleOf(view, picture, stage);
  const clamp = (at: number, length: number, room: number) => {
    const half = room / 2 / scale;
    return length <= 2 * half ? length / 2 : Math.min(length - half, Math.max(half, at));
  };
  return {
    scale: view.scale,
    x: clamp(view.x, picture.width, stage.width),
    y: clamp(view.y, picture.height, stage.height),
  };
}
