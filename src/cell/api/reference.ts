import { html, raw } from 'hono/html';
import { REFERENCE_STYLE } from './reference-style.ts';
import type { Field, ReferenceModel, ReferenceOperation } from './reference-model.ts';

const KEYS = { tenant: "a tenant's key (dk_…)", operator: "an operator's key (ok_…)", none: 'no key' };

const anchor = (tag: string) => tag.toLowerCase().replaceAll(' ', '-');

const fieldTable = (fields: readonly Field[], required: boolean) => html`<table>
  <thead><tr><th>Name</th><th>Type</th><th>Meaning</th></tr></thead>
  <tbody>${fields.map(
    ({ name, type, required: must, text }) =>
      html`<tr><td><code>${name}</code>${required && must ? html`<b title="required">*</b>` : ''}</td><td class="type">${type}</td><td>${text}</td></tr>`,
  )}</tbody>
</table>`;

const section = (title: string, fields: readonly Field[]) =>
  fields.length === 0 ? '' : html`<h4>${title}</h4>${fieldTable(fields, true)}`;

const response = ({ status, description, type, fields }: ReferenceOperation['responses'][number]) =>
  fields.length === 0
    ? html`<p class="response"><code>${status === 'default' ? '4xx, 5xx' : status}</code> ${description}${type ? html` <span class="type">${type}</span>` : ''}</p>`
    : html`<details><summary><code>${status}</code> ${description} <span class="type">${type}</span></summary>${fieldTable(fields, false)}</details>`;

const operation = (one: ReferenceOperation) => html`<article id="${one.id}">
  <h3><span class="method ${one.method.toLowerCase()}">${one.method}</span> <code>${one.path}</code></h3>
  <p class="summary">${one.summary}.</p>
  ${one.description ? html`<p>${one.description}</p>` : ''}
  <p class="key">Needs ${KEYS[one.key]}.</p>
  ${section('Parameters', one.parameters)}
  ${section('Body', one.body)}
  <h4>Responses</h4>
  ${one.responses.map(response)}
  <h4>Example</h4>
  <pre>${one.curl}</pre>
</article>`;

const contents = (model: ReferenceModel) => html`<nav aria-label="Contents">
  <p class="brand">${model.title} <span>${model.version}</span></p>
  <a href="#start">Start here</a>
  ${model.groups.map(
    ({ tag, operations }) => html`<p><a href="#${anchor(tag)}">${tag}</a></p>
    <ul>${operations.map(({ id, method, summary }) => html`<li><a href="#${id}"><span class="dot ${method.toLowerCase()}"></span>${summary}</a></li>`)}</ul>`,
  )}
  <p><a href="#problems">Problems</a></p>
</nav>`;

const start = (model: ReferenceModel) => html`<section id="start">
  <h1>${model.title}</h1>
  <p class="lead">${model.description}</p>
  <ul>
    <li>Send your key with every request: <code>Authorization: Bearer dk_&lt;cell&gt;_…</code>.</li>
    <li>Lists take <code>limit</code> and <code>cursor</code> and answer <code>{items, nextCursor}</code>, newest first.</li>
    <li>Send an <code>Idempotency-Key</code> with what creates: repeated within 24 hours, it gives the first answer.</li>
    <li>Unknown fields are refused. A problem names everything that is wrong, each with a pointer.</li>
    <li>The same in a machine's words: <a href="/openapi.json">openapi.json</a>.</li>
  </ul>
</section>`;

const problems = (model: ReferenceModel) => html`<section id="problems">
  <h2>Problems</h2>
  <p>Every error is an RFC 9457 problem with a stable <code>code</code>. <code>retry</code> says when to send the same request again.</p>
  <table>
    <thead><tr><th>Code</th><th>Status</th><th>Meaning</th><th>Retry</th><th>Whose move</th></tr></thead>
    <tbody>${model.problems.map(
      ({ code, status, title, retry, owner }) =>
        html`<tr><td><a href="/problems/${code}"><code>${code}</code></a></td><td>${status}</td><td>${title}</td><td>${retry}</td><td>${owner}</td></tr>`,
    )}</tbody>
  </table>
</section>`;

/** The reference as one page that loads nothing: no script, no font, no image, one style sheet under its nonce. */
export function referencePage(model: ReferenceModel, nonce: string) {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${model.title}</title>
<style nonce="${nonce}">${raw(REFERENCE_STYLE)}</style>
</head>
<body>
${contents(model)}
<main>
${start(model)}
${model.groups.map(
  ({ tag, operations }) => html`<section id="${anchor(tag)}"><h2>${tag}</h2>${operations.map(operation)}</section>`,
)}
${problems(model)}
</main>
</body>
</html>`;
}
