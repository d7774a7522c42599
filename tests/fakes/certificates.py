"""A certificate authority of our own, in a folder. Needs openssl."""

import ssl
import subprocess
from pathlib import Path

KEY = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1"


class Authority:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.openssl(f"req -x509 {KEY} -nodes -days 2 -subj /CN=Test -keyout ca.key -out ca.pem")

    @property
    def file(self) -> str:
        return str(self.folder / "ca.pem")

    def issue(self, stem: str, *names: str, days: int = 2) -> tuple[Path, Path]:
        """A certificate for host names or addresses, and its key."""
        self.openssl(f"req {KEY} -nodes -subj /CN={stem} -keyout {stem}.key -out {stem}.csr")
        alternatives = ",".join(f"{'IP' if name[0].isdigit() else 'DNS'}:{name}" for name in names or (stem,))
        (self.folder / f"{stem}.ext").write_text(f"subjectAltName={alternatives}\n")
        self.openssl(f"x509 -req -in {stem}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days {days} -extfile {stem}.ext -out {stem}.pem")
        return self.folder / f"{stem}.pem", self.folder / f"{stem}.key"

    def server(self, name: str, *, days: int = 2, heard: list[str | None] | None = None) -> ssl.SSLContext:
        """A server with a certificate for `name`; `heard` gets the names that clients ask for."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issue(name.replace("*", "any"), name, days=days))
        if heard is not None:
            context.sni_callback = lambda _socket, asked, _context: heard.append(asked)
        return context

    def openssl(self, command: str) -> None:
        subprocess.run(["openssl", *command.split()], cwd=self.folder, check=True, capture_output=True)
