// What the readers of npm and node itself make of the files named on stdin: one JSON object a line, null for an error.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { parseEnv } from 'node:util'

const require = createRequire(import.meta.url)

// Every reader gets a process environment of its own, as in a fresh process.
const expanded = (parse, expand) => (text) => expand({ parsed: parse(text), processEnv: {} }).parsed

const dotenv = (version) => require(`dotenv-${version}`).parse
const expand = (version) => require(`dotenv-expand-${version}`).expand
const next = (text) => {
  const { processEnv, resetEnv } = require('@next/env')
  resetEnv()
  const files = [{ path: '.env', contents: text, env: {} }]
  const [, parsed] = processEnv(files, '.', { info() {}, error() {} }, true)
  resetEnv()
  return parsed
}

const readers = {
  'npm dotenv 16': dotenv(16),
  'npm dotenv 17': dotenv(17),
  'npm dotenv 18': dotenv(18),
  'node parseEnv': parseEnv,
  'dotenv-expand 12': expanded(dotenv(16), expand(12)),
  'dotenv-expand 1000': expanded(dotenv(18), expand(1000)),
  'next': next,
}

const read = readers[process.argv[2]]
for (const path of readFileSync(0, 'utf8').split('\n').filter(Boolean)) {
  let values = null
  try {
    values = { ...read(readFileSync(path, 'utf8')) }
  } catch {}
  console.log(JSON.stringify(values))
}
