"""Infisical's official SDK does with the fake server what it does with a real one."""

import json
import subprocess
import sys

from infisical_sdk import InfisicalSDKClient

server = subprocess.Popen([sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
try:
    where = json.loads(server.stdout.readline())
    client = InfisicalSDKClient(host=where["url"], cache_ttl=None)
    client.auth.universal_auth.login(where["client_id"], where["client_secret"])
    place = {"project_id": where["project"], "environment_slug": "dev", "secret_path": "/"}

    created = client.secrets.create_secret_by_name(secret_name="DB", secret_value="one", **place)
    assert (created.secretKey, created.secretValue, created.version) == ("DB", "one", 1), created
    updated = client.secrets.update_secret_by_name(current_secret_name="DB", secret_value="  two ", **place)
    assert updated.version == 2, updated
    read = client.secrets.get_secret_by_name(secret_name="DB", **place)
    assert (read.secretValue, read.version) == ("two", 2), "the server trims"
    listed = client.secrets.list_secrets(**place)
    assert [secret.secretKey for secret in listed.secrets] == ["DB"], listed
    client.secrets.delete_secret_by_name(secret_name="DB", **place)
    try:
        client.secrets.get_secret_by_name(secret_name="DB", **place)
        sys.exit("a deleted secret is still there")
    except Exception as error:  # The SDK has no type of its own for this.
        assert "404" in str(error) or "not found" in str(error), error
    assert client.secrets.list_secrets(**place).secrets == []
    print("the SDK works with the fake server")
finally:
    server.stdin.close()
    server.wait(timeout=10)
