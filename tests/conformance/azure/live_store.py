"""Key Vault itself: the store of the scenarios, logged in by the job's identity token."""

from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.identity import ClientAssertionCredential
from azure.keyvault.secrets import SecretClient

import clients
import live
from store import AzureStore


class AzureLive(live.Live, AzureStore):
    # What the last `clean` could not remove.
    remains = ""

    def __init__(self, site):
        self.site, vault, self.deletions = site, site["AZURE_VAULT"], []
        self.polling_seconds = site.pace.pause
        if not vault.startswith("https://"):
            vault = f"https://{vault}.vault.azure.net"
        authority, ca_file = site["AZURE_AUTHORITY_HOST"], site["CA_FILE"]
        self.where = clients.Where(vault.rstrip("/"), authority, ca_file, *site.runner.values())
        more = {"connection_verify": ca_file} if ca_file else {}
        # Microsoft's own way: it asks for an identity token whenever it needs a new access token.
        login = ClientAssertionCredential(
            site["AZURE_TENANT_ID"],
            site["AZURE_CLIENT_ID"],
            lambda: site.token(clients.AUDIENCE),
            # As an authority of a private cloud, a double is not known to Microsoft.
            **({"authority": authority, "disable_instance_discovery": True} if authority else {}),
            **more,
        )
        self.client = SecretClient(vault, login, verify_challenge_resource=not authority, **more)

    def inputs(self):
        return {
            "PROVIDER": "azure",
            "AZURE_VAULT": self.where.vault,
            "AZURE_TENANT_ID": self.site["AZURE_TENANT_ID"],
            "AZURE_CLIENT_ID": self.site["AZURE_CLIENT_ID"],
            "AZURE_AUTHORITY_HOST": self.where.authority,
            "CA_FILE": self.where.ca_file,
        }

    def seen(self, name):
        return self.current(name)

    def every(self):
        # While a deletion lasts no list has the secret.
        while self.deletions:
            self.deletions.pop().wait()
        for secret in self.client.list_properties_of_secrets():
            if secret.name.startswith(live.BASE):
                yield secret.name, secret.created_on, False, lambda name=secret.name: self.remove(name)
        if self.remains:
            return
        for secret in self.client.list_deleted_secrets():
            if secret.name.startswith(live.BASE):
                yield secret.name, secret.properties.created_on, True, lambda name=secret.name: self.purge(name)

    def remove(self, name):
        """Begins it only, so that many last together; `every` then has it among the deleted ones."""
        try:
            self.deletions.append(self.client.begin_delete_secret(name, _polling_interval=self.polling_seconds))
        except (ResourceNotFoundError, ResourceExistsError):
            # Gone already, or 409: under way.
            pass

    def purge(self, name):
        if self.remains:
            return False
        try:
            self.client.purge_deleted_secret(name)
        except (ResourceNotFoundError, ResourceExistsError):
            pass
        except HttpResponseError as error:
            if error.status_code != 403:
                raise
            # A vault with purge protection, or a role without the right to purge.
            self.remains = "what is deleted stays soft-deleted for the vault's retention, because this job may not purge"
            return False
        return True


connect = AzureLive
