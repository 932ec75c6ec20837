// Completes package-lock.json with the optional platform packages that the registry in use does not carry.
//
// npm writes a lockfile from what it can resolve. Where a registry mirror lacks, say, the macOS build of a native
// package, npm leaves that entry out and then refuses its own lockfile: `npm ci` fails with "Missing: … from lock
// file". A stub with the exact version and the platform it is for is enough: `npm ci` skips it on every other
// platform. Run by `npm run lock` after each change of dependencies.
import { readFileSync, writeFileSync } from 'node:fs';

const LOCK = 'package-lock.json';
const OS_NAMES = ['darwin', 'linux', 'win32', 'freebsd', 'openbsd', 'netbsd', 'android', 'sunos', 'aix', 'openharmony'];
const CPU_NAMES = ['x64', 'arm64', 'ia32', 'arm', 'ppc64', 's390x', 'riscv64', 'loong64', 'mips64el', 'wasm32'];
const ALIASES = { windows: 'win32', 64: 'x64', x86: 'ia32', armv6: 'arm', armv7: 'arm', ppc64le: 'ppc64' };

/** Guesses `{os, cpu}` from a platform package's name, such as `@cloudflare/workerd-darwin-64`. */
function platformOf(name) {
  const words = name.split(/[/@_-]/).map((word) => ALIASES[word] ?? word.replace(/(eabihf|eabi|gnu|musl)$/, ''));
  const pick = (known) => words.filter((word) => known.includes(word)).slice(0, 1);
  return { os: pick(OS_NAMES), cpu: pick(CPU_NAMES) };
}

/** Is `name` installed for the package at `from`, in npm's lookup order? */
function resolves(packages, from, name) {
  for (let at = from; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/node_modules/')))) {
    if (packages[`${at ? `${at}/` : ''}node_modules/${name}`]) return true;
    if (!at) return false;
    if (!at.includes('/node_modules/')) return Boolean(packages[`node_modules/${name}`]);
  }
}

const lock = JSON.parse(readFileSync(LOCK, 'utf8'));
let added = 0;
for (const [path, entry] of Object.entries({ ...lock.packages })) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    if (resolves(lock.packages, path, name) || !/^\d+\.\d+\.\d+/.test(version)) continue;
    const { os, cpu } = platformOf(name);
    const stub = { version, optional: true };
    if (path !== '' && entry.dev) stub.dev = true;
    if (os.length > 0) stub.os = os;
    if (cpu.length > 0) stub.cpu = cpu;
    lock.packages[`node_modules/${name}`] = stub;
    added += 1;
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync(LOCK, `${JSON.stringify(lock, null, 2)}\n`);
process.stdout.write(`${LOCK}: ${added} platform stubs added\n`);
