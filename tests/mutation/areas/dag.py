"""The Airflow side: operators, triggers, assets, the coverage page."""

from __future__ import annotations

from tests.mutation.mutation import Mutation

MUTATIONS = [
    Mutation(
        "a coverage page for whoever is logged in, whatever DAGs they may see",
        "plugins/web.py",
        'dependencies=[Depends(requires_access_dag(method="GET"))]',
        "dependencies=[]",
        ("plugins/test_web.py",),
    ),
    Mutation(
        "a list of all DAGs, for whoever is logged in",
        "plugins/web.py",
        "sorted(visible.intersection(session.scalars(tagged)))",
        "sorted(session.scalars(tagged))",
        ("plugins/test_web.py",),
    ),
    Mutation(
        "a page out of the lake that may run scripts in Airflow",
        "plugins/web.py",
        "default-src 'none'; ",
        "",
        ("plugins/test_plugin.py",),
    ),
    Mutation(
        "rows of a red run are named by no asset event",
        "assets.py",
        "max(told + 1, ",
        "max(commit.commit, ",
        ("dag/test_commit_operator.py::TestAssetEvent",),
    ),
    Mutation(
        "a log that never comes starts run after run",
        "triggers/event.py",
        'self.remind_interval if found["digest"] == self._digest else self.min_interval',
        "self.min_interval",
        ("dag/test_event_trigger.py::TestWatch",),
    ),
    Mutation(
        "a retried commit is counted again",
        "operators/imperva.py",
        "        if commit.committed_at == now:",
        "        if True:",
        ("dag/test_commit_operator.py::test_committing_again_counts_nothing_again",),
    ),
    Mutation(
        "a relative lake, which is another folder in each process",
        "uri.py",
        '    if not path.startswith("/"):\n',
        "    if False:\n",
        ("test_uri.py",),
    ),
    Mutation(
        "an operator's lake that nobody looks at while its DAG is parsed",
        "operators/imperva.py",
        "        check_lake_uri(lake_uri)\n",
        "",
        ("dag/test_factories.py",),
    ),
    Mutation(
        "a lake's credentials in the message that refuses them",
        "uri.py",
        '    return "it" if "@" in text else quoted(text)',
        "    return quoted(text)",
        ("test_uri.py",),
    ),
    Mutation(
        "a private key in the message about the field that it was pasted into",
        "errors.py",
        "        found, about = _without_key(found), about and _without_key(about)\n",
        "",
        ("test_errors.py",),
    ),
    Mutation(
        "the DAG's own params in place of ours",
        "dag.py",
        "            | dict(params or {}),",
        "            if not params else dict(params),",
        ("dag/test_factories.py",),
    ),
    Mutation(
        "soft_fail hides a refused key that the triggerer met",
        "sensors/imperva.py",
        '        if isinstance(event, dict) and event.get("final"):\n',
        "        if False:\n",
        ("dag/test_sensor.py",),
    ),
    Mutation(
        "a refused key is asked for again and again",
        "retries.py",
        "            if not is_final(error):\n                raise\n",
        "            raise\n",
        ("dag/test_sensor.py", "dag/test_plan_operator.py"),
    ),
    Mutation(
        "one look that meets an outage ends the wait",
        "triggers/imperva.py",
        "                if not may_pass(error):\n",
        "                if True:\n",
        ("dag/test_sensor.py",),
    ),
    Mutation(
        "a watch that is content whatever the ledger says",
        "operators/watch.py",
        "        if ago > bound:\n",
        "        if False:\n",
        ("dag/test_watch_operator.py",),
    ),
    Mutation(
        "an overtaken batch skips itself, and with it the commit that is to tell of it",
        "operators/imperva.py",
        "                raise AirflowFailException(str(error)) from error\n",
        "                raise AirflowSkipException(str(error)) from error\n",
        ("dag/test_plan_operator.py",),
    ),
    Mutation(
        "a run that hangs is never ended",
        "dag.py",
        '            "dagrun_timeout": sensor_timeout + _RUN_TIMEOUT,\n',
        "",
        ("dag/test_factories.py::test_a_run_that_hangs_is_ended_by_itself",),
    ),
]
