// Evaluates without promptfoo's database, for versions whose native module cannot be built: node evaluate.mjs PACKAGE OUT
import fs from 'node:fs';
import { createRequire } from 'node:module';

const [, , folder, out] = process.argv;
const promptfoo = await import(`${folder}/dist/src/index.js`);
const about = JSON.parse(fs.readFileSync(`${folder}/package.json`, 'utf8'));
const suite = createRequire(`${folder}/package.json`)('js-yaml').load(fs.readFileSync('promptfooconfig.yaml', 'utf8'));
const done = await promptfoo.evaluate({ ...suite, writeLatestResults: false }, { cache: false });
const results = await done.toEvaluateSummary();
fs.writeFileSync(out, JSON.stringify({ evalId: done.id, results, metadata: { promptfooVersion: about.version } }));
process.exit(0);
