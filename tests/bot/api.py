"""A local Bot API server: the protocol as Telegram speaks it, strict about what we send, rude on request."""

import json
import re
import threading
import time
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

TOKEN = "123456789:AAcanary-token-that-nobody-may-see"
OWNER, STRANGER = 4711, 666


class Call:
    """One call that came in: method, parameters (decoded), files by field."""

    def __init__(self, method, data, files):
        self.method, self.data, self.files, self.at = method, data, files, time.monotonic()

    def __repr__(self):
        return f"{self.method}({self.data})"


class BotApi:
    """Serves one bot on 127.0.0.1. `say` and `click` are what people do; `calls` is what the bot did."""

    def __init__(self):
        self.updates, self.calls, self.errors = [], [], {}
        self.number, self.message = 1000, 0
        self.lock, self.news = threading.RLock(), threading.Condition()
        self.buttons = {}  # message id -> its buttons
        self.sent = {}  # update id -> the update
        self.held = {}  # method -> an event that its answers wait for
        self.confirmed = 0  # the offset that the bot asked for last
        self.polls = 0
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version, wbufsize = "HTTP/1.1", 65536

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                found = re.fullmatch(r"/bot([^/]+)/(\w+)", self.path)
                if not found or found[1] != TOKEN:
                    self.reply(401, {"ok": False, "error_code": 401, "description": "Unauthorized"})
                    return
                data, files = decoded(self.headers, body)
                self.serve(Call(found[2], data, files))

            do_GET = do_POST

            def serve(self, call):
                if api.stopped:
                    self.close_connection = True
                    return
                error = api.next_error(call.method)
                if error == "drop":
                    self.close_connection = True
                    self.connection.close()
                    return
                if error == "garbage":
                    self.reply(200, None, b"<html>no JSON</html>")
                    return
                if isinstance(error, tuple):
                    status, parameters = error
                    self.reply(status, {"ok": False, "error_code": status, "description": f"error {status}",
                                        **({"parameters": parameters} if parameters else {})})  # fmt: skip
                    return
                wrong = strict(call)
                if wrong:
                    self.reply(400, {"ok": False, "error_code": 400, "description": f"Bad Request: {wrong}"})
                    return
                result = api.answer(call)
                if call.method in api.held:
                    api.held[call.method].wait(20)
                try:
                    self.reply(200, {"ok": True, "result": result})
                except OSError:
                    pass

            def reply(self, status, found, raw=None):
                text = raw if raw is not None else json.dumps(found).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass  # whoever called was killed

        self.make = lambda port: Server(("127.0.0.1", port), Handler)
        self.server = self.make(0)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self):
        self.stopped = False
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def reopen(self):
        """Answer again, at the same address, after `close`."""
        self.server = self.make(self.port)
        self.start()

    # what people do

    def say(self, text, *, user=OWNER, chat=None, age=0.0, type="private", **more):
        """A message, as old as `age` seconds; its update id."""
        chat = user if chat is None else chat
        message = {
            "message_id": self.next_message(), "date": int(time.time() - age), "text": text,
            "from": {"id": user, "is_bot": False, "first_name": "Somebody"},
            "chat": {"id": chat, "type": type, **({"title": "group"} if type != "private" else {})}, **more,
        }  # fmt: skip
        return self.push({"message": message})

    def click(self, label="Yes", *, user=OWNER, chat=None, message_id=None):
        """Press a button of the newest question (or of a message); its update id."""
        message_id = max(self.buttons) if message_id is None else message_id
        where, row = self.buttons[message_id]
        data = next(button["callback_data"] for button in row if button["text"] == label)
        return self.click_data(data, user=user, chat=where if chat is None else chat, message_id=message_id)

    def click_data(self, data, *, user=OWNER, chat=None, message_id=1):
        """Press a button with this data, whoever made it; its update id."""
        chat = user if chat is None else chat
        query = {
            "id": str(time.monotonic_ns()), "from": {"id": user, "is_bot": False, "first_name": "Somebody"},
            "chat_instance": "1", "data": data,
            "message": {"message_id": message_id, "date": int(time.time()), "text": "?",
                        "chat": {"id": chat, "type": "private" if chat > 0 else "group"}},
        }  # fmt: skip
        return self.push({"callback_query": query})

    def push(self, update, update_id=None):
        """Any update, well formed or not; its id."""
        with self.news:
            if update_id is None and not (isinstance(update, dict) and "update_id" in update):
                self.number += 1
                update_id = self.number
            row = {"update_id": update_id, **update} if update_id is not None else update
            self.updates.append(row)
            self.sent[update_id] = row
            self.news.notify_all()
        return update_id

    def fail(self, method, *errors):
        """What the next calls of a method get: (status, parameters), "drop", "garbage"; `*` is every method."""
        with self.lock:
            self.errors.setdefault(method, []).extend(errors)

    def hold(self, method):
        """Answers of a method wait (up to 20 s) for the event that this returns."""
        self.held[method] = threading.Event()
        return self.held[method]

    def forget_offset(self, *updates):
        """Deliver these updates again, as when the confirmation was lost."""
        with self.news:
            self.updates = sorted([*self.updates, *updates], key=lambda row: row["update_id"])
            self.news.notify_all()

    # what the bot gets

    def next_error(self, method):
        with self.lock:
            for name in (method, "*"):
                if self.errors.get(name):
                    return self.errors[name].pop(0)
        return None

    def next_message(self):
        with self.lock:
            self.message += 1
            return self.message

    def answer(self, call):
        if call.method == "getUpdates":
            return self.get_updates(call)
        with self.lock:
            self.calls.append(call)
        data = call.data
        if call.method == "getMe":
            return {"id": 123456789, "is_bot": True, "first_name": "desk", "username": "desk_bot"}
        if call.method in ("answerCallbackQuery", "setMyCommands"):
            return True
        number = self.next_message() if call.method != "editMessageText" else int(data["message_id"])
        with self.lock:
            markup = data.get("reply_markup")
            if markup:
                self.buttons[number] = (int(data["chat_id"]), markup["inline_keyboard"][0])
        return {"message_id": number, "date": int(time.time()), "text": data.get("text", ""),
                "chat": {"id": int(data["chat_id"]), "type": "private"}}  # fmt: skip

    def get_updates(self, call):
        offset, timeout = int(call.data.get("offset") or 0), float(call.data.get("timeout") or 0)
        deadline = time.monotonic() + timeout
        with self.news:
            self.polls += 1
            self.confirmed = max(self.confirmed, offset)
            while True:
                self.updates = [row for row in self.updates if not isinstance(row.get("update_id"), int)
                                or row["update_id"] >= offset]  # fmt: skip
                left = deadline - time.monotonic()
                if self.updates or left <= 0 or self.stopped:
                    return self.updates[:100]
                self.news.wait(min(left, 0.5))

    # what tests look at

    def of(self, *methods):
        with self.lock:
            return [call for call in self.calls if call.method in methods]

    def texts(self):
        """What was sent as messages, so far."""
        return [call.data["text"] for call in self.of("sendMessage")]

    def wait_for(self, what, seconds=40.0):
        """Poll until `what()` is true; its value. AssertionError with what was sent otherwise."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = what()
            if found:
                return found
            time.sleep(0.01)
        raise AssertionError(f"waited in vain; sent so far: {self.calls[-8:]}")

    def next_text(self, ask, **how):
        """Say something and wait for the next message; its text."""
        return self.next_call("sendMessage", lambda: self.say(ask, **how)).data["text"]

    def next_call(self, method, do):
        """Do something and wait for the next call of a method."""
        before = len(self.of(method))
        do()
        return self.wait_for(lambda: self.of(method)[before:])[0]

    def close(self):
        self.stopped = True
        self.server.shutdown()
        self.server.server_close()


def decoded(headers, body):
    """Parameters and files of a call: JSON values as values."""
    kind = headers.get("content-type") or ""
    files, data = {}, {}
    if kind.startswith("multipart/"):
        message = BytesParser(policy=HTTP).parsebytes(b"content-type: " + kind.encode() + b"\r\n\r\n" + body)
        for part in message.iter_parts():
            name = part.get_param("name", header="content-disposition")
            if part.get_filename():
                files[name] = (part.get_filename(), part.get_payload(decode=True))
            else:
                data[name] = part.get_payload(decode=True).decode().removesuffix("\r\n")
    else:
        data = dict(parse_qsl(body.decode(), keep_blank_values=True))
    for name in ("reply_markup", "entities", "commands", "allowed_updates"):
        if name in data:
            data[name] = json.loads(data[name])
    return data, files


def units(text):
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def strict(call):
    """Why Telegram would refuse a call; None where it would not."""
    data = call.data
    if call.method in ("sendMessage", "editMessageText"):
        text = data.get("text", "")
        if not text.strip():
            return "message text is empty"
        if units(text) > 4096:
            return "message is too long"
        if "parse_mode" in data:
            return "markup is not wanted here"
        for entity in data.get("entities") or []:
            if entity["offset"] < 0 or entity["length"] < 1 or entity["offset"] + entity["length"] > units(text):
                return "an entity beyond the text"
    if call.method in ("sendPhoto", "sendDocument"):
        field = "photo" if call.method == "sendPhoto" else "document"
        if not call.files:
            return f"there is no {field} in the request"
        if units(data.get("caption", "")) > 1024:
            return "message caption is too long"
    if call.method == "answerCallbackQuery" and len(data.get("text", "")) > 200:
        return "MESSAGE_TOO_LONG"
    for row in (data.get("reply_markup") or {}).get("inline_keyboard", []):
        for button in row:
            if not 1 <= len(button["callback_data"].encode()) <= 64:
                return "BUTTON_DATA_INVALID"
    return None


def mono_of(call):
    """The monospace parts of a message."""
    raw = call.data["text"].encode("utf-16-le", "surrogatepass")
    return [raw[2 * e["offset"] : 2 * (e["offset"] + e["length"])].decode("utf-16-le", "surrogatepass")
            for e in call.data.get("entities") or [] if e["type"] == "pre"]  # fmt: skip
