// tuf-js, from a first root to the end: tuf_js.mjs MODULES ROOT URL STORE
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const [modules, first, url, store] = process.argv.slice(2);
const { Updater } = createRequire(`${modules}/`)('tuf-js');
mkdirSync(store, { recursive: true });
copyFileSync(first, `${store}/root.json`);
const config = { maxRootRotations: 100_000, rootMaxLength: 1 << 20, targetsMaxLength: 64 << 20 };
await new Updater({ metadataDir: store, metadataBaseUrl: url, config }).refresh();
console.log(JSON.parse(readFileSync(`${store}/root.json`)).signed.version);
