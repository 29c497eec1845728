// Both languages say everything, and the names that other programs rely on are as the contract says.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clock, pickLang, texts, viewerTexts } from '../src/core/text.ts';

test('the accessible names of the contract', () => {
  const { en } = texts;
  assert.deepEqual(
    [
      en.message,
      en.send,
      en.share,
      en.stop,
      en.choose,
      en.allow,
      en.deny,
      en.connection,
      en.conversation,
      en.directSwitch,
    ],
    [
      'Message',
      'Send',
      'Share my screen',
      'Stop sharing',
      'Choose what to show',
      'Allow',
      "Don't allow",
      'Connection',
      'Conversation',
      'Direct message',
    ],
  );
});

test('no sentence is empty, and the languages differ', () => {
  for (const [en, zh] of [
    [texts.en, texts.zh],
    [viewerTexts.en, viewerTexts.zh],
  ] as const) {
    assert.deepEqual(Object.keys(en), Object.keys(zh));
    for (const [key, value] of Object.entries(en)) {
      if (typeof value !== 'string') continue;
      const other: unknown = Object.entries(zh).find(([name]) => name === key)?.[1];
      assert.ok(value !== '' && typeof other === 'string' && other !== '', key);
      if (key !== 'actual') assert.notEqual(value, other, key);
    }
  }
  assert.deepEqual(Object.keys(viewerTexts.en.reasons), Object.keys(viewerTexts.zh.reasons));
});

test('the language of a browser', () => {
  assert.equal(pickLang(['de-DE', 'zh-TW', 'en']), 'zh');
  assert.equal(pickLang(['EN-gb']), 'en');
  assert.equal(pickLang([]), 'en');
});

test('clock', () => {
  assert.deepEqual([0, 42_000, 61_999, 3_600_000, -5].map(clock), ['0:00', '0:42', '1:01', '1:00:00', '0:00']);
});
