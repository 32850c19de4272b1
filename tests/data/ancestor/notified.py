"""Notification providers: the file, one's own, a mail's text; told by run, run_all and TaskManager."""

import io

from memento import (
    AggregateException,
    ConsoleNotificationProvider,
    DefaultNotificationProvider,
    EmailNotificationProvider,
    FileSystemNotificationProvider,
    Memento,
    NotificationProvider,
    SmtpConfiguration,
    TaskManager,
    delayed,
)


class Appending(DefaultNotificationProvider):
    """A provider of one's own."""

    def task_completed(self):
        with open("own.txt", "a") as file:
            file.write("done\n")

    def task_failure(self):
        with open("own.txt", "a") as file:
            file.write("failed\n")


def experiment(context, config):
    if config.x < 0:
        raise ValueError(config.x)
    return config.x


def show(name):
    with open(name) as file:
        print(name, sorted(file.read().split("\n")))


Memento(experiment, FileSystemNotificationProvider("run.txt"), 2).run({"parameters": {"x": [1, 2]}})
show("run.txt")
Memento(experiment, notification_provider=FileSystemNotificationProvider()).run(
    {"parameters": {"x": [3]}}, notify_on_complete=False
)
show("logs.txt")
try:
    Memento(experiment, notification_provider=Appending(), num_workers=1).run({"parameters": {"x": [-1, 4]}})
except AggregateException:
    show("own.txt")

manager = TaskManager(
    1, notification_provider=FileSystemNotificationProvider("tasks.txt"), notify_on_complete=True
)
manager.add_task(delayed(sum)([1, 2]))
print(manager.run())
show("tasks.txt")

stream = io.StringIO()
provider = FileSystemNotificationProvider(stream)
provider.task_completed()
provider.task_failure()
provider.all_tasks_completed()
print(repr(stream.getvalue()))
ConsoleNotificationProvider().task_completed()
print(isinstance(provider, NotificationProvider))

config = SmtpConfiguration("smtp.example.org", 587, username="me", password="secret")
mails = EmailNotificationProvider(config, "me@example.org", ["you@example.org", "them@example.org"])
message = mails.create_message("[Memento] hello", "It works.")
print(message["From"], message["To"], message["Subject"], message.get_content().strip())
print(mails.smpt.port, mails.from_addr, mails.to_addrs, config.require_tls, config[0], len(config))
