/** HTML by template: whatever is put in is text, unless it is HTML already. */

export class Html {
  constructor(readonly text: string) {}
  toString(): string {
    return this.text;
  }
}

type Part = string | number | Html | readonly Part[] | undefined | false;

/** Strings are escaped, lists joined; undefined and false leave nothing. */
export function html(texts: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return new Html(texts.map((text, i) => text + (i < parts.length ? written(parts[i]) : '')).join(''));
}

/** `content` in a box that scrolls sideways by itself where it is too wide, by keyboard too; `label` is its name, of its own on the page. */
export const scrolling = (label: string, content: Html): Html =>
  html`<div class="scroll" tabindex="0" role="region" aria-label="${label}">${content}</div>`;

/** Text to copy, as it is, under its title; a button copies it where scripts run (`COPY_SCRIPT`). `label`: as of `scrolling`. */
export const codeBlock = (title: string, label: string, code: string): Html =>
  html`<div class="code"><p>${title}</p><pre tabindex="0" role="region" aria-label="${label}"><code>${code}</code></pre></div>`;

/** For text and for quoted attributes, of HTML and of XML alike, where control characters have no place. */
export function escapeHtml(text: string): string {
  const entities: Record<string, string> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
  };
  return text.replace(/[^\P{Cc}\t\n\r]|[\ufffe\uffff]/gu, '\ufffd').replace(/[&<>"']/g, (c) => entities[c]!);
}

function written(part: Part): string {
  if (part === undefined || part === false) return '';
  if (part instanceof Html) return part.text;
  if (typeof part === 'object') return part.map(written).join('');
  return escapeHtml(String(part));
}
