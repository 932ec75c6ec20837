/** The reference's only style sheet. Follows the reader's colour scheme. */
export const REFERENCE_STYLE = `
:root { color-scheme: light dark; --ink: #1d2733; --soft: #5b6775; --line: #dde3ea; --paper: #fff; --panel: #f5f7fa;
  --accent: #0b5cad; --get: #0b6e4f; --post: #0b5cad; --put: #8a5a00; --delete: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6ebf1; --soft: #9aa7b5; --line: #2c3643; --paper: #12171d;
  --panel: #1a2129; --accent: #7db8f5; --get: #5fc9a1; --post: #7db8f5; --put: #e0b04c; --delete: #ff8a80; } }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; scroll-padding-top: 1rem; }
body { margin: 0; display: grid; grid-template-columns: 18rem minmax(0, 1fr); color: var(--ink); background: var(--paper);
  font: 15px/1.55 system-ui, sans-serif; }
nav { position: sticky; top: 0; height: 100vh; overflow-y: auto; padding: 1.5rem 1rem; background: var(--panel);
  border-right: 1px solid var(--line); font-size: 13px; }
nav .brand { font-size: 16px; font-weight: 650; margin: 0 0 1rem; }
nav .brand span { color: var(--soft); font-weight: 400; }
nav p { margin: 1rem 0 .25rem; font-weight: 600; }
nav ul { list-style: none; margin: 0; padding: 0; }
nav a { color: inherit; text-decoration: none; display: block; padding: .15rem 0; }
nav a:hover { color: var(--accent); }
.dot { display: inline-block; width: .5rem; height: .5rem; border-radius: 50%; margin-right: .5rem; background: currentColor; }
main { padding: 2rem 3rem 6rem; max-width: 62rem; }
h1 { font-size: 2rem; margin: 0; } h2 { font-size: 1.4rem; margin: 3rem 0 1rem; padding-bottom: .4rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 0; } h4 { margin: 1.25rem 0 .4rem; font-size: .8rem; text-transform: uppercase; letter-spacing: .05em; color: var(--soft); }
.lead { font-size: 1.1rem; color: var(--soft); }
article { border: 1px solid var(--line); border-radius: 8px; padding: 1.25rem 1.5rem; margin: 0 0 1.5rem; }
article:target { border-color: var(--accent); box-shadow: 0 0 0 1px var(--accent); }
.summary { font-weight: 600; margin: .6rem 0; } .key { color: var(--soft); margin: 0; }
code, pre { font: 13px/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
pre { background: var(--panel); border-radius: 6px; padding: .9rem 1rem; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; }
th { text-align: left; color: var(--soft); font-weight: 500; } th, td { padding: .35rem .75rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td b { color: var(--delete); margin-left: .2rem; } .type { color: var(--soft); font-size: 12.5px; overflow-wrap: anywhere; }
details { margin: .3rem 0; } summary { cursor: pointer; } .response { margin: .3rem 0; }
.method { display: inline-block; min-width: 4.2rem; font-size: .75rem; font-weight: 700; letter-spacing: .04em; }
.get { color: var(--get); } .post { color: var(--post); } .put { color: var(--put); } .delete { color: var(--delete); }
a { color: var(--accent); } a:focus-visible, summary:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
@media (max-width: 60rem) { body { display: block; } nav { position: static; height: auto; } main { padding: 1.25rem; } }
`;
