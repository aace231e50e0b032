"""(d) Patterns on all three servers behind a front that meddles: what goes away, is throttled, is denied, or never ends."""

import contextlib
import http.client
import http.server
import json
import threading
import urllib.parse

import pytest

COUNT = 45


@contextlib.contextmanager
def front(url, meddle):
    """Hands every request on to the server at `url`. `meddle(operation, request)` sees it first, may change it, and gives an
    error to answer with in its place, or a function that changes the answer, or None. Gives the address."""
    target = urllib.parse.urlsplit(url).netloc

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            done = meddle(self.headers["X-Amz-Target"].rpartition(".")[2], request)
            if isinstance(done, dict):
                return self.reply(400, json.dumps(done).encode())
            # The servers check no signature, so that another host and body do no harm.
            headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "content-length")}
            connection = http.client.HTTPConnection(target, timeout=20)
            connection.request("POST", "/", json.dumps(request).encode(), headers)
            answer = connection.getresponse()
            text = answer.read()
            connection.close()
            self.reply(answer.status, json.dumps(done(json.loads(text))).encode() if done else text)

        def reply(self, status, body):
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def base(store):
    """The beginning of the names of as many secrets."""
    base = f"{store.make()}/"
    for n in range(COUNT):
        store.seed(f"{base}N{n:02}", f"fake-{n:02}-value")
    return base


def lines(left_out=()):
    return "".join(f"N{n:02}=fake-{n:02}-value\n" for n in range(COUNT) if n not in left_out)


def test_a_secret_that_is_deleted_after_it_was_listed(store, workspace, base):
    def meddle(operation, request):
        if operation == "BatchGetSecretValue" and f"{base}N07" in request["SecretIdList"]:
            store.client.delete_secret(SecretId=f"{base}N07", ForceDeleteWithoutRecovery=True)

    with front(store.url, meddle) as url:
        run = workspace.run(store, "pull", f"{base}*", AWS_ENDPOINT_URL=url)
    assert run.code == 0, run.output
    assert f"{base}N07" in run.output and "left out" in run.output
    assert workspace.text() == lines({7})


def test_throttling_in_the_middle(store, workspace, base):
    seen = []

    def meddle(operation, request):
        seen.append(operation)
        if operation == "BatchGetSecretValue" and seen.count(operation) in (2, 3):
            return {"__type": "ThrottlingException", "message": "Rate exceeded"}

    with front(store.url, meddle) as url:
        run = workspace.run(store, "pull", f"{base}*", AWS_ENDPOINT_URL=url)
    assert run.code == 0, run.output
    assert workspace.text() == lines()
    assert (seen.count("BatchGetSecretValue"), seen.count("GetSecretValue")) == (5, 0)


def test_one_secret_that_may_not_be_read(store, workspace, base):
    name = f"{base}N17"
    denied = {"__type": "AccessDeniedException", "message": f"not authorized to perform: secretsmanager:GetSecretValue on {name}"}

    def refuse(answer):
        answer["SecretValues"] = [value for value in answer["SecretValues"] if value["Name"] != name]
        answer["Errors"] = [{"SecretId": name, "ErrorCode": denied["__type"], "Message": denied["message"]}]
        return answer

    def meddle(operation, request):
        if operation == "BatchGetSecretValue" and name in request["SecretIdList"]:
            return refuse
        return denied if operation == "GetSecretValue" and request["SecretId"] == name else None

    workspace.file.write_text("MINE=fake-mine\n")
    with front(store.url, meddle) as url:
        run = workspace.run(store, "pull", f"{base}*", AWS_ENDPOINT_URL=url)
        assert run.code == 4, run.output
        assert name in run.output and f"{base}N16" not in run.output
        assert workspace.text() == "MINE=fake-mine\n"
        assert workspace.run(store, "pull", f"{base}*", AWS_ENDPOINT_URL=url, EXCLUDE="N17").code == 0


def test_a_page_token_that_repeats(store, workspace, base):
    lists = []

    def meddle(operation, request):
        if operation == "ListSecrets":
            lists.append(request)
            request.pop("NextToken", None)
            return lambda answer: {**answer, "NextToken": "again"}

    with front(store.url, meddle) as url:
        run = workspace.run(store, "pull", f"{base}*", AWS_ENDPOINT_URL=url)
    assert run.code == 7 and "never ends" in run.output, run.output
    assert workspace.text() is None and len(lists) == 2


def test_a_push_that_is_done_in_part_is_finished_by_the_next_one(store, workspace, base):
    workspace.file.write_text(lines().replace("-value", "-other"))

    def meddle(operation, request):
        if operation == "PutSecretValue" and request["SecretId"] == f"{base}N30":
            return {"__type": "AccessDeniedException", "message": "not authorized to perform: secretsmanager:PutSecretValue"}

    with front(store.url, meddle) as url:
        run = workspace.run(store, "push", f"{base}*", AWS_ENDPOINT_URL=url)
    assert run.code == 8, run.output
    assert "44 secrets were written" in run.output and f"not written: `{base}N30`" in run.output, run.output
    values = [store.read(f"{base}N{n:02}") for n in range(COUNT)]
    assert values == [f"fake-{n:02}-{'value' if n == 30 else 'other'}" for n in range(COUNT)]
    if store.name == "moto":
        # Its BatchGetSecretValue still gives the version before a move of AWSCURRENT (AWS: the current one).
        return
    run = workspace.run(store, "push", f"{base}*")
    assert run.code == 0 and "1 to update, 44 unchanged" in run.output, run.output
    assert store.read(f"{base}N30") == "fake-30-other"
