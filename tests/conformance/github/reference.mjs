// Prints what @actions/core writes for every name and value of corpus.json, and for some annotations, and what it asks for
// an identity token; and lets it fetch one from our double of GitHub's endpoint, whose key then verifies it.
// Usage: node reference.mjs > reference.json
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createPublicKey, verify } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline/promises'

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

const audiences = ['sts.amazonaws.com', 'api://AzureADTokenExchange', "https://iam.googleapis.com/a b+c&d=e%f'(g)*~ü"]

/** What getIDToken sends for each audience, to an endpoint whose URL has a query already. */
const requests = async (core) => {
  const seen = []
  const server = createServer((request, response) => {
    const { method, url, headers } = request
    seen.push({ method, target: url, authorization: headers.authorization, accept: headers.accept })
    response.setHeader('Content-Type', 'application/json').end('{"value":"fake.identity.token"}')
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const path = '/fake/idtoken?api-version=2.0'
  process.env.ACTIONS_ID_TOKEN_REQUEST_URL = `http://127.0.0.1:${server.address().port}${path}`
  process.env.ACTIONS_ID_TOKEN_REQUEST_TOKEN = 'fake-request-token'
  for (const audience of audiences) {
    await core.getIDToken(audience)
  }
  server.close()
  server.closeAllConnections()
  return audiences.map((audience, n) => ({ path, audience, ...seen[n] }))
}

/** The double gives a token that getIDToken takes, that its issuer's published key verifies, and no second time the same. */
const judgeDouble = async (core) => {
  const double = spawn(process.env.ENVSYNC_DOUBLES, ['github'], { stdio: ['pipe', 'pipe', 'inherit'] })
  try {
    const lines = createInterface({ input: double.stdout })[Symbol.asyncIterator]()
    const [url, token, issuer] = [await lines.next(), await lines.next(), await lines.next()].map((line) => line.value)
    process.env.ACTIONS_ID_TOKEN_REQUEST_URL = url
    process.env.ACTIONS_ID_TOKEN_REQUEST_TOKEN = token
    const { jwks_uri: keys, issuer: named } = await (await fetch(`${issuer}/.well-known/openid-configuration`)).json()
    assert.equal(named, issuer)
    const { keys: [jwk] } = await (await fetch(keys)).json()
    const given = new Set()
    for (const audience of audiences) {
      const jwt = await core.getIDToken(audience)
      given.add(jwt)
      const [header, claims, signature] = jwt.split('.')
      assert.equal(JSON.parse(Buffer.from(header, 'base64url')).kid, jwk.kid)
      const { iss, aud } = JSON.parse(Buffer.from(claims, 'base64url'))
      assert.deepEqual({ iss, aud }, { iss: issuer, aud: audience })
      const key = createPublicKey({ key: jwk, format: 'jwk' })
      assert(verify('RSA-SHA256', Buffer.from(`${header}.${claims}`), key, Buffer.from(signature, 'base64url')))
    }
    assert.equal(given.size, audiences.length)
    process.env.ACTIONS_ID_TOKEN_REQUEST_TOKEN = 'fake-expired-token'
    await assert.rejects(core.getIDToken('a'), /Failed to get ID Token[^]*401/)
  } finally {
    double.stdin.end()
  }
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
  // Each token that it fetches is masked on stdout, which is the reference here.
  let tokens
  process.stdout.write = () => true
  try {
    tokens = await requests(core)
    await judgeDouble(core)
  } finally {
    process.stdout.write = print
  }
  print(JSON.stringify({ pairs, annotations, group, tokens }, null, 1))
} finally {
  rmSync(directory, { recursive: true })
}
