// Light or dark, roomy or dense: kept by the browser, shown by two attributes of the root.
import { signal } from '../vendor/signals-core/signals-core.js';
import { forget } from './paint.js';

const root = document.documentElement;
const asked = new URLSearchParams(location.search);

/** What the browser keeps for this page; none of it is needed. */
export const kept = {
  get(key) { try { return localStorage.getItem(`resilient.${key}`); } catch { return null; } },
  set(key, value) {
    try {
      if (value) localStorage.setItem(`resilient.${key}`, value);
      else localStorage.removeItem(`resilient.${key}`);
    } catch { /* private window */ }
  },
};

export const theme = signal(asked.get('theme') ?? kept.get('theme') ?? '');
export const density = signal(asked.get('density') ?? kept.get('density') ?? '');

export const isDark = () => (theme.value ? theme.value === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches);

function show() {
  for (const [key, value] of [['theme', theme.value], ['density', density.value]]) {
    if (value) root.dataset[key] = value;
    else delete root.dataset[key];
  }
  forget();
}

export function toggleTheme() {
  theme.value = isDark() ? 'light' : 'dark';
  kept.set('theme', theme.value);
  show();
}

export function toggleDensity() {
  density.value = density.value ? '' : 'dense';
  kept.set('density', density.value);
  show();
}

show();
