/** The only script of a report: where it runs, texts to copy get a button. Without it they can be selected, and no button is there to fail. */
import { createHash } from 'node:crypto';

export const COPY_SCRIPT = `
for (const block of document.querySelectorAll('.code')) {
  const text = block.querySelector('pre');
  const button = document.createElement('button');
  const say = (word) => {
    button.textContent = word;
    button.setAttribute('aria-label', word + ': ' + text.getAttribute('aria-label'));
  };
  button.type = 'button';
  button.onclick = async () => {
    getSelection().selectAllChildren(text);
    const done = await (navigator.clipboard?.writeText(text.textContent) ?? Promise.reject()).then(() => true, () => document.execCommand('copy'));
    say(done ? 'Copied' : 'Selected, copy it by keyboard');
    setTimeout(() => say('Copy'), 3000);
  };
  say('Copy');
  block.querySelector('p').append(button);
}
`;

/** The page's policy lets no other script run, whatever names of users hold. */
export const COPY_SCRIPT_HASH = `sha256-${createHash('sha256').update(COPY_SCRIPT).digest('base64')}`;
