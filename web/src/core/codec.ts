// Which codecs there are.

/** Codecs in our order of preference (design 7); the last two are whole images. */
export const CODECS: readonly string[] = [
  'av01.1.08M.08.0.000',
  'av01.0.08M.08',
  'avc1.42E034',
  'vp09.00.51.08',
  'vp8',
  'image/jpeg',
  'image/png',
];
