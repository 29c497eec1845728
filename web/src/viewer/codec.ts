// Codecs in words, for those who don't know their strings.

import type { ViewerText } from '../core/text.viewer.ts';

/** "AV1, full colour" for a WebCodecs codec string. What is not known is not printed: it comes from a stranger. */
export function codecWords(codec: string, text: ViewerText): string {
  if (/^av01\.1/.test(codec)) return `AV1, ${text.fullColour}`;
  if (codec.startsWith('av01')) return 'AV1';
  if (/^avc[13]/.test(codec)) return 'H.264';
  if (/^vp09\.01/.test(codec)) return `VP9, ${text.fullColour}`;
  if (codec.startsWith('vp09')) return 'VP9';
  if (codec === 'vp8') return 'VP8';
  if (codec === 'image/png') return `PNG, ${text.lossless}`;
  if (codec === 'image/jpeg') return 'JPEG';
  return text.otherCodec;
}

export function bits(perSec: number): string {
  return perSec >= 1e6 ? `${(perSec / 1e6).toFixed(1)} Mbit/s` : `${Math.round(perSec / 1000)} kbit/s`;
}
