"""What the listing knows of a task: one row of plain values.

* It is of the task as its readers see it; who may read a private one stands in the row.
* Whatever a search can ask for is in it, and nothing else.

>>> row_of(task, "what it is found by", 7, lookup).seq                                  # doctest: +SKIP
7
"""

from taskrepo.dependencies import Lookup, is_blocked
from taskrepo.matching import needs
from taskrepo.model import Row, Task
from taskrepo.roles import people, reviewer


def row_of(task: Task, text: str, seq: int, lookup: Lookup) -> Row:
    """What the listing knows of a task; `text` is what it is found by, `lookup` gives what it may wait for."""
    manifest = task.manifest
    return Row(
        id=task.id,
        title=manifest.title,
        state=task.state,
        publisher=task.publisher,
        assignee=task.assignee,
        reviewer=reviewer(task),
        labels=manifest.labels,
        priority=manifest.priority,
        due_at=manifest.due_at,
        created_at=task.created_at,
        updated_at=task.updated.at,
        waiting=task.waiting is not None,
        seq=seq,
        text=text,
        readers=tuple(filter(None, sorted(people(task)))) if manifest.private else None,
        needs=needs(manifest),
        origin=manifest.origin,
        source=manifest.source_name,
        blocked=is_blocked(task, lookup),
        blocked_by=manifest.blocked_by,
    )
