// A clock that runs on in a hidden tab, where the page's own timers come once a second. A number is a time in ms
// to wait, instead of the one before; the answer to it is that number.

let waiting: ReturnType<typeof setTimeout> | undefined;

addEventListener('message', (event: MessageEvent<number>) => {
  clearTimeout(waiting);
  waiting = setTimeout(() => postMessage(event.data), event.data);
});
