// The page's icons, drawn with strokes in the text's colour. All are decoration: the words beside them say it.

import type { ComponentChildren } from 'preact';

function Icon({ children }: { children: ComponentChildren }) {
  return (
    <svg class="icon" viewBox="0 0 20 20" width="20" height="20" aria-hidden="true" focusable="false">
      {children}
    </svg>
  );
}

export const ScreenIcon = () => (
  <Icon>
    <rect x="2.5" y="3.5" width="15" height="10" rx="2" />
    <path d="M7 16.5h6M10 10.5v-4M8 8l2-2 2 2" />
  </Icon>
);
export const StopIcon = () => (
  <Icon>
    <rect class="solid" x="5.5" y="5.5" width="9" height="9" rx="1.5" />
  </Icon>
);
export const SendIcon = () => (
  <Icon>
    <path d="M10 16V4.5M5 9l5-5 5 5" />
  </Icon>
);
export const LockIcon = () => (
  <Icon>
    <rect x="4.5" y="9" width="11" height="7.5" rx="2" />
    <path d="M7 9V6.5a3 3 0 0 1 6 0V9" />
  </Icon>
);
export const SwapIcon = () => (
  <Icon>
    <path d="M4 7.5h11.5M12.5 4.5l3 3-3 3M16 12.5H4.5M7.5 9.5l-3 3 3 3" />
  </Icon>
);
export const CloseIcon = () => (
  <Icon>
    <path d="M5.5 5.5l9 9M14.5 5.5l-9 9" />
  </Icon>
);
export const ClockIcon = () => (
  <Icon>
    <circle cx="10" cy="10" r="6.5" />
    <path d="M10 6.5V10l2.5 1.5" />
  </Icon>
);
export const CheckIcon = () => (
  <Icon>
    <path d="M5 10.5l3.5 3.5L15 6.5" />
  </Icon>
);
export const ChecksIcon = () => (
  <Icon>
    <path d="M2.5 10.5L6 14l6.5-7.5M9.5 13l1 1L17 6.5" />
  </Icon>
);
export const AlertIcon = () => (
  <Icon>
    <circle cx="10" cy="10" r="7" />
    <path d="M10 6.3v4.4M10 13.4v.1" />
  </Icon>
);
export const ShieldIcon = () => (
  <Icon>
    <path d="M10 2.8l5.8 2v4.4c0 3.7-2.4 6.3-5.8 8-3.4-1.7-5.8-4.3-5.8-8V4.8z" />
  </Icon>
);
export const ChatIcon = () => (
  <Icon>
    <path d="M4.5 4h11A1.5 1.5 0 0 1 17 5.5v7a1.5 1.5 0 0 1-1.5 1.5H9l-4 3v-3h-.5A1.5 1.5 0 0 1 3 12.5v-7A1.5 1.5 0 0 1 4.5 4z" />
  </Icon>
);
export const PlusIcon = () => (
  <Icon>
    <path d="M10 4.5v11M4.5 10h11" />
  </Icon>
);
export const CameraIcon = () => (
  <Icon>
    <path d="M3.5 6.5h3l1.2-2h4.6l1.2 2h3v9h-13z" />
    <circle cx="10" cy="10.8" r="2.6" />
  </Icon>
);
