// Every sentence that a person reads on the customer's page and in the agent's viewer, in each language. A missing
// or extra key in a language is a compile error. English names are a contract with the tests (design 8).

import { viewerEn, viewerZh } from './text.viewer.ts';

export type Lang = 'en' | 'zh';

const en = {
  langName: 'English',
  title: 'Help',
  conversation: 'Conversation',
  message: 'Message',
  messageHint: 'Write a message…',
  directHint: 'Write a direct message…',
  messageHelp: 'Enter sends, Shift+Enter starts a new line.',
  send: 'Send',
  tooLong: (max: number) => `The message is too long: at most ${max} characters. Split it in two.`,
  connection: 'Connection',
  language: 'Language',

  // delivery
  sending: 'Sending',
  sent: 'Sent',
  delivered: 'Delivered',
  read: 'Read',
  notSent: 'Not sent',
  sendAgain: 'Send again',
  discard: 'Discard',
  you: 'You',
  agent: 'Agent',
  system: 'Notice',
  earlier: 'Show earlier messages',
  newMessages: 'New messages',
  today: 'Today',

  // link
  connecting: 'Connecting…',
  online: 'Connected',
  reconnectingIn: (seconds: number) => `Reconnecting in ${seconds} s…`,
  reconnecting: 'Reconnecting…',
  tryNow: 'Try now',
  unreachable: "The server can't be reached. What you write is kept here and sent as soon as it is back.",
  stopped: 'Not connected',
  stoppedReplaced: 'This chat is open in another tab.',
  useHere: 'Use here',
  stoppedVersion: 'This page is out of date. Please reload it; your draft is kept.',
  reload: 'Reload',
  stoppedRevoked: "This browser's access was removed. Clear this site's data in the browser to start again.",
  stoppedAuth:
    "The server did not accept this browser's key. Reload the page; if that does not help, clear this site's data.",
  stoppedOther: 'The connection was ended because something did not fit. Please reload the page.',
  insecure:
    'This page is not encrypted, so the browser allows no chat here. Please open it by an address that begins with https://.',
  outdated: 'This browser is too old for this page. Please use a current Chrome, Edge, Firefox or Safari.',
  memoryOnly: 'This chat ends when you close the tab.',
  busy: (seconds: number) => `The server asks for a moment; your message goes out in ${seconds} s.`,
  slow: 'The server is slow to save. Your message is kept here until it has.',
  cantSave: "Messages can't be saved right now. Yours is kept here and will be sent.",
  queueFull: (seconds: number) => `Very many people are waiting. Your message is kept here; next try in ${seconds} s.`,
  tooManyNew: (seconds: number) =>
    `Very many conversations were begun from your network. Your message is kept here; next try in ${seconds} s.`,

  // people and queue
  welcome: 'How can we help?',
  welcomeText: 'Write to us and an agent answers here. You can also show your screen, and stop at any time.',
  nobody: 'Nobody is here right now. Leave a message; the answer waits here for you.',
  someone: (n: number) => (n === 1 ? '1 agent is available' : `${n} agents are available`),
  next: 'You are next. An agent will be with you shortly.',
  position: (n: number) => `You are number ${n} in the queue.`,
  missed: 'Nobody was here when you wrote. Your message is kept and will be answered.',
  closed: 'This conversation is closed. Write again to reopen it.',
  joined: (name: string) => `${name} is here to help you.`,
  available: 'available',
  busyStatus: 'busy',
  away: 'away',
  offline: 'offline',
  typing: (name: string) => `${name} is typing…`,
  unreadTitle: (n: number, title: string) => `(${n}) ${title}`,

  // sharing
  share: 'Share my screen',
  shareNeedsAgent: 'An agent joins first; then you can show your screen.',
  shareCant: "This device or browser can't share its screen. Use a computer with a current Chrome, Edge or Firefox.",
  shareOffline: 'The connection to the server is missing right now.',
  stop: 'Stop sharing',
  shareCamera: 'Show with the camera',
  showElse: 'Show something else',
  addScreen: 'Add another screen',
  addCamera: 'Add the camera',
  removeSource: (what: string) => `Stop showing: ${what}`,
  and: ', ',
  levelStills: 'Slow connection: single pictures',
  levelNone: 'Connection too slow for pictures',
  levelWhy: 'It goes back by itself when the connection is better. The chat goes on.',
  disconnect: 'Disconnect',
  picking: "Choose what to show in your browser's window…",
  sharing: 'Sharing',
  sharingTitle: (title: string) => `SHARING · ${title}`,
  canSee: (name: string, what: string) => `${name} can see: ${what}`,
  monitor: 'Entire screen',
  window: 'Window',
  browser: 'Tab',
  camera: 'Camera',
  unknown: 'What you chose',
  since: 'Since',
  left: (minutes: number) => `${minutes} min left`,
  notChecked: 'Not checked',
  notCheckedWhy: 'Nobody has compared a code for this connection by voice.',
  direct: 'Direct connection',
  relay: 'Relayed',
  mirror: 'What is sent',
  waitingViewer: "Waiting for the agent's viewer…",
  connectingPeer: (name: string) => `Connecting to ${name}…`,
  connectedPeer: (name: string) => `Connected to ${name}. Nothing is shared.`,
  pathBroken: (time: string) => `Reconnecting… ${time}`,
  pathBrokenWhy: 'The picture stands still. Sharing goes on by itself when the connection is back.',
  escTwice: 'Press Esc once more to stop sharing.',
  money:
    'Never open your bank, pay or buy gift cards while someone is helping, and never tell anyone a code your bank or phone sent you. No real helper will ask.',

  // asking
  askView: (name: string, site: string) => [
    `Agent “${name}” of ${site} asks to `,
    'see',
    ' one window or screen you choose.',
  ],
  askViewText:
    'They will see everything that appears in it, also messages and passwords you open. You can stop at any moment.',
  choose: 'Choose what to show',
  deny: "Don't allow",
  allow: 'Allow',
  askDirect: (name: string) => `Agent “${name}” asks for a direct connection for messages that the server can't see.`,
  askDirectText: "Your computers will see each other's network address.",
  askExtend: 'Keep sharing?',
  askExtendText: 'You have been sharing for almost 30 minutes. Without an answer it stops in a minute.',
  keep: 'Keep sharing',
  askRecord: (name: string) => `Agent “${name}” asks to record what you show.`,
  askRecordText: 'The recording stays with the agent. You can stop it at any moment, and go on sharing.',
  recMark: 'REC',
  recording: (name: string) => `${name} records this.`,
  stopRecording: 'Stop recording',
  endRecording: 'The recording has stopped. You go on sharing.',
  requestSent: (name: string) => `Asking ${name}…`,

  // how it ended
  endStopped: 'Stopped. Nothing is shared now.',
  endDisconnected: 'Disconnected. Nothing is shared now.',
  endSource: 'What you were showing was closed, so sharing has stopped. Nothing is shared now.',
  endTimeout: 'The time was over, so sharing has stopped. Nothing is shared now.',
  endFailedCapture: 'Your screen could not be captured. Nothing is shared now. Try again, or choose something else.',
  endRefused:
    'Nothing was chosen, so nothing is shared. If you did choose: your browser or system blocks screen sharing; allow it in its settings.',
  endImpossible: "This device or browser can't share its screen. Nothing is shared.",
  endAgent: (name: string) => `${name} ended the connection. Nothing is shared now.`,
  endGone: "The agent's connection ended. Nothing is shared.",
  endLost: 'The connection ended. Nothing is shared now.',
  endConnect: 'Your computers could not connect to each other. Nothing is shared. Please try again.',
  endDeclined: (name: string) => `${name} can't take a connection right now. Nothing is shared.`,
  endExpired: 'Nobody answered in time. Nothing is shared.',
  endClosed: 'The conversation was closed, so the connection ended. Nothing is shared now.',
  endReload: 'You reloaded the page, so sharing has stopped.',
  otherTab: 'The connection to the agent is open in another tab.',
  dismiss: 'Close this notice',

  // direct messages
  directSwitch: 'Direct message',
  directWhy:
    "Goes straight to the agent's computer. The server never sees it. Your computers see each other's network address.",
  directMark: 'Direct',
  directFailed: 'Not delivered',
  directOffer: 'Send through the server instead?',
  directSendServer: 'Send through the server',
  directNeedsAgent: 'Direct messages need an agent who is here.',
};

export type Text = typeof en;

const zh: Text = {
  langName: '简体中文',
  title: '在线帮助',
  conversation: '对话',
  message: '消息',
  messageHint: '输入消息…',
  directHint: '输入直连消息…',
  messageHelp: '按 Enter 发送，Shift+Enter 换行。',
  send: '发送',
  tooLong: (max) => `消息太长：最多 ${max} 个字符。请分成两条发送。`,
  connection: '连接',
  language: '语言',

  sending: '正在发送',
  sent: '已发送',
  delivered: '已送达',
  read: '已读',
  notSent: '未发送',
  sendAgain: '重新发送',
  discard: '放弃',
  you: '您',
  agent: '客服',
  system: '通知',
  earlier: '显示更早的消息',
  newMessages: '有新消息',
  today: '今天',

  connecting: '正在连接…',
  online: '已连接',
  reconnectingIn: (seconds) => `${seconds} 秒后重新连接…`,
  reconnecting: '正在重新连接…',
  tryNow: '立即重试',
  unreachable: '无法连接服务器。您输入的内容会保存在这里，恢复后立即发送。',
  stopped: '未连接',
  stoppedReplaced: '此对话已在另一个标签页中打开。',
  useHere: '在此处使用',
  stoppedVersion: '此页面版本已过期，请重新加载；您的草稿会保留。',
  reload: '重新加载',
  stoppedRevoked: '此浏览器的访问权限已被移除。请在浏览器中清除本站数据后重新开始。',
  stoppedAuth: '服务器未接受此浏览器的密钥。请重新加载页面；若仍不行，请清除本站数据。',
  stoppedOther: '通信出现异常，连接已结束。请重新加载页面。',
  insecure: '此页面未加密，浏览器不允许在此聊天。请使用以 https:// 开头的地址打开。',
  outdated: '此浏览器版本过旧。请使用最新的 Chrome、Edge、Firefox 或 Safari。',
  memoryOnly: '关闭此标签页后，对话即结束。',
  busy: (seconds) => `服务器繁忙，您的消息将在 ${seconds} 秒后发送。`,
  slow: '服务器保存较慢，您的消息会保留在这里直到保存完成。',
  cantSave: '目前无法保存消息。您的消息已保留在这里，稍后会自动发送。',
  queueFull: (seconds) => `目前排队的人很多。您的消息已保留，${seconds} 秒后重试。`,
  tooManyNew: (seconds) => `您所在的网络发起了过多对话。您的消息已保留，${seconds} 秒后重试。`,

  welcome: '需要什么帮助？',
  welcomeText: '给我们留言，客服会在这里回复。您也可以展示屏幕，并随时停止。',
  nobody: '目前没有客服在线。请留言，回复会保留在这里。',
  someone: (n) => `${n} 位客服在线`,
  next: '下一位就是您，客服马上就来。',
  position: (n) => `您在队列中排第 ${n} 位。`,
  missed: '您留言时没有客服在线。消息已保存，我们会回复您。',
  closed: '此对话已关闭。再次发送消息即可重新打开。',
  joined: (name) => `${name} 正在为您服务。`,
  available: '在线',
  busyStatus: '忙碌',
  away: '离开',
  offline: '离线',
  typing: (name) => `${name} 正在输入…`,
  unreadTitle: (n, title) => `(${n}) ${title}`,

  share: '共享我的屏幕',
  shareNeedsAgent: '客服加入后，您就可以展示屏幕。',
  shareCant: '此设备或浏览器无法共享屏幕。请使用电脑上最新的 Chrome、Edge 或 Firefox。',
  shareOffline: '目前与服务器的连接中断。',
  stop: '停止共享',
  shareCamera: '用摄像头展示',
  showElse: '换一个画面',
  addScreen: '再添加一个屏幕',
  addCamera: '添加摄像头',
  removeSource: (what) => `停止展示：${what}`,
  and: '、',
  levelStills: '网络较慢：改为逐张画面',
  levelNone: '网络太慢，暂时无法显示画面',
  levelWhy: '网络好转后会自动恢复。聊天不受影响。',
  disconnect: '断开连接',
  picking: '请在浏览器窗口中选择要展示的内容…',
  sharing: '正在共享',
  sharingTitle: (title) => `正在共享 · ${title}`,
  canSee: (name, what) => `${name} 可以看到：${what}`,
  monitor: '整个屏幕',
  window: '窗口',
  browser: '标签页',
  camera: '摄像头',
  unknown: '您选择的内容',
  since: '已共享',
  left: (minutes) => `剩余 ${minutes} 分钟`,
  notChecked: '未核对',
  notCheckedWhy: '此连接尚未通过语音核对验证码。',
  direct: '直接连接',
  relay: '经中继',
  mirror: '正在发送的画面',
  waitingViewer: '正在等待客服的查看器…',
  connectingPeer: (name) => `正在连接 ${name}…`,
  connectedPeer: (name) => `已与 ${name} 连接。未共享任何内容。`,
  pathBroken: (time) => `正在重新连接… ${time}`,
  pathBrokenWhy: '画面已暂停。连接恢复后，共享会自动继续。',
  escTwice: '再按一次 Esc 即可停止共享。',
  money:
    '在他人帮助您时，切勿打开网银、付款或购买礼品卡，也不要把银行或手机收到的验证码告诉任何人。真正的客服绝不会这样要求。',

  askView: (name, site) => [`${site} 的客服“${name}”请求`, '查看', '您选择的一个窗口或屏幕。'],
  askViewText: '对方会看到其中出现的一切，包括您打开的消息和密码。您可以随时停止。',
  choose: '选择要展示的内容',
  deny: '不允许',
  allow: '允许',
  askDirect: (name) => `客服“${name}”请求建立直接连接，用于服务器无法看到的消息。`,
  askDirectText: '双方的电脑会看到彼此的网络地址。',
  askExtend: '继续共享吗？',
  askExtendText: '您已共享近 30 分钟。如不回应，将在一分钟后停止。',
  keep: '继续共享',
  askRecord: (name) => `客服“${name}”请求录制您所展示的内容。`,
  askRecordText: '录像保存在客服那里。您可以随时停止录制，并继续共享。',
  recMark: '录制中',
  recording: (name) => `${name}正在录制。`,
  stopRecording: '停止录制',
  endRecording: '录制已停止，共享仍在继续。',
  requestSent: (name) => `正在请求 ${name}…`,

  endStopped: '已停止。现在没有共享任何内容。',
  endDisconnected: '已断开。现在没有共享任何内容。',
  endSource: '您展示的内容已关闭，共享随之停止。现在没有共享任何内容。',
  endTimeout: '时间已到，共享已停止。现在没有共享任何内容。',
  endFailedCapture: '无法捕获您的屏幕。现在没有共享任何内容。请重试，或选择其他内容。',
  endRefused: '没有选择内容，因此未共享。如果您已选择：浏览器或系统阻止了屏幕共享，请在其设置中允许。',
  endImpossible: '此设备或浏览器无法共享屏幕。未共享任何内容。',
  endAgent: (name) => `${name} 结束了连接。现在没有共享任何内容。`,
  endGone: '客服的连接已结束。未共享任何内容。',
  endLost: '连接已结束。现在没有共享任何内容。',
  endConnect: '双方电脑无法建立连接。未共享任何内容。请重试。',
  endDeclined: (name) => `${name} 目前无法接受连接。未共享任何内容。`,
  endExpired: '没有及时得到回应。未共享任何内容。',
  endClosed: '对话已关闭，连接随之结束。现在没有共享任何内容。',
  endReload: '您重新加载了页面，因此共享已停止。',
  otherTab: '与客服的连接已在另一个标签页中打开。',
  dismiss: '关闭此通知',

  directSwitch: '直连消息',
  directWhy: '直接发送到客服的电脑，服务器看不到。双方的电脑会看到彼此的网络地址。',
  directMark: '直连',
  directFailed: '未送达',
  directOffer: '改为通过服务器发送？',
  directSendServer: '通过服务器发送',
  directNeedsAgent: '直连消息需要有客服在场。',
};

export const texts: { readonly [L in Lang]: Text } = { en, zh };
export const viewerTexts = { en: viewerEn, zh: viewerZh };

/** The first language of the person's list that there is; English otherwise. */
export function pickLang(wanted: readonly string[]): Lang {
  for (const tag of wanted) {
    const base = tag.toLowerCase().split('-')[0];
    if (base === 'zh') return 'zh';
    if (base === 'en') return 'en';
  }
  return 'en';
}

/** The value of the attribute lang. */
export function langTag(lang: Lang): string {
  return lang === 'zh' ? 'zh-CN' : 'en';
}

/** m:ss or h:mm:ss */
export function clock(ms: number): string {
  const s = Math.max(0, Math.floor(ms / 1000));
  const two = (n: number) => String(n).padStart(2, '0');
  const minutes = Math.floor(s / 60) % 60;
  const hours = Math.floor(s / 3600);
  return hours > 0 ? `${hours}:${two(minutes)}:${two(s % 60)}` : `${minutes}:${two(s % 60)}`;
}
