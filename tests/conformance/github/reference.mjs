// Prints what @actions/core writes for every name and value of corpus.json, and for some annotations.
// Usage: node reference.mjs > reference.json
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const directory = mkdtempSync(join(tmpdir(), 'actions-core-'))
const file = (variable) => {
  const path = join(directory, variable)
  writeFileSync(path, '')
  process.env[variable] = path
  return () => readFileSync(path, 'utf8')
}

const print = process.stdout.write.bind(process.stdout)
const printed = (call) => {
  let text = ''
  process.stdout.write = (chunk) => {
    text += chunk
    return true
  }
  try {
    call()
  } finally {
    process.stdout.write = print
  }
  return text
}

try {
  const core = await import('@actions/core')
  const corpus = JSON.parse(readFileSync(new URL('corpus.json', import.meta.url), 'utf8'))
  const pairs = Object.entries(corpus).map(([name, value]) => {
    const [output, env, state] = ['GITHUB_OUTPUT', 'GITHUB_ENV', 'GITHUB_STATE'].map(file)
    core.setOutput(name, value)
    core.exportVariable(name, value)
    core.saveState(name, value)
    const mask = printed(() => core.setSecret(value))
    return { name, value, output: output(), env: env(), state: state(), mask }
  })
  const messages = ['fake message', 'two\nlines\r\n', '100% :: , done', '']
  const given = { title: 'a: title, 100%\n', file: 'dir/.env', startLine: 1, endLine: 1, startColumn: 2, endColumn: 3 }
  const shown = { title: given.title, file: given.file, line: '1', endLine: '1', col: '2', endColumn: '3' }
  const annotations = ['error', 'warning', 'notice'].flatMap((level) =>
    messages.flatMap((message) => [
      { level, message, properties: {}, printed: printed(() => core[level](message)) },
      { level, message, properties: shown, printed: printed(() => core[level](message, given)) }
    ])
  )
  const group = printed(() => {
    core.startGroup('fake: group, 100%')
    core.info('inside')
    core.endGroup()
  })
  print(JSON.stringify({ pairs, annotations, group }, null, 1))
} finally {
  rmSync(directory, { recursive: true })
}
