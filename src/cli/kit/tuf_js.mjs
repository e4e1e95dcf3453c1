// Follows the trust root with tuf-js: npm install tuf-js
// Usage: node tuf_js.mjs [1.root.json] [FOLDER FOR METADATA]
import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { Updater } from 'tuf-js';

const url = 'https://tuf.example.org';

const [first = '1.root.json', store = 'metadata'] = process.argv.slice(2);
mkdirSync(store, { recursive: true });
if (!existsSync(`${store}/root.json`)) copyFileSync(first, `${store}/root.json`);
const updater = new Updater({ metadataDir: store, metadataBaseUrl: url, targetBaseUrl: `${url}/targets`, targetDir: '.' });
await updater.refresh();
console.log(`up to date: everything in ${store} is verified`);
// const target = await updater.getTargetInfo('tool.tar.gz'); await updater.downloadTarget(target);
