"""git's own server for https, as a test needs it. Usage: https_git.py FOLDER

Serves the repositories in FOLDER on 127.0.0.1 with FOLDER/tls.pem and tls.key, writes its port into FOLDER/port, and ends
after a minute. If FOLDER/answer holds a number, that is the answer to everything.
"""

import http.server
import os
import ssl
import subprocess
import sys
import threading

folder = sys.argv[1]
backend = os.path.join(subprocess.check_output(["git", "--exec-path"], text=True).strip(), "git-http-backend")


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def serve(self):
        try:
            with open(os.path.join(folder, "answer"), encoding="ascii") as file:
                answer = file.read().strip()
        except FileNotFoundError:
            answer = ""
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if answer:
            self.send_response(int(answer))
            if answer == "401":
                self.send_header("WWW-Authenticate", 'Basic realm="x"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": folder,
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(length),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_ADDR": "127.0.0.1",
            "REMOTE_USER": "somebody",
        }
        done = subprocess.run([backend], input=body, stdout=subprocess.PIPE, env=environment, check=False)
        head, _, rest = done.stdout.partition(b"\r\n\r\n")
        lines = [line.split(": ", 1) for line in head.decode("latin-1").split("\r\n") if ": " in line]
        fields = dict(lines)
        self.send_response(int(fields.pop("Status", "200 OK").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest)

    do_GET = serve
    do_POST = serve


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(os.path.join(folder, "tls.pem"), os.path.join(folder, "tls.key"))
server.socket = context.wrap_socket(server.socket, server_side=True)
threading.Timer(60, lambda: os._exit(0)).start()
with open(os.path.join(folder, "port.part"), "w", encoding="ascii") as said:
    said.write(f"{server.server_address[1]}\n")
os.rename(os.path.join(folder, "port.part"), os.path.join(folder, "port"))
server.serve_forever()
