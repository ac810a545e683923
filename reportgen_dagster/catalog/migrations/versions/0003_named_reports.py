"""Reports with a name of their own, over datasets and rulesets, with any number of schedules."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"

JSON = postgresql.JSONB(astext_type=sa.Text())
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Apply the revision. Each schedule of before becomes a report, with what was pinned, and its schedule."""
    op.add_column("datasets", sa.Column("expected_cron", sa.Text()))
    op.add_column("datasets", sa.Column("expected_timezone", sa.Text()))
    op.add_column("datasets", sa.Column("expected_within_seconds", sa.BigInteger()))
    op.add_column(
        "dataset_versions", sa.Column("received_at", TIME, server_default=sa.text("now()"), nullable=False)
    )
    op.execute("UPDATE dataset_versions SET received_at = created_at")
    op.add_column("dataset_versions", sa.Column("profile", JSON))
    op.add_column("dataset_versions", sa.Column("reported_at", TIME))
    op.add_column("ruleset_versions", sa.Column("summary", JSON))
    op.add_column("ruleset_versions", sa.Column("reported_at", TIME))
    op.add_column("loaded_definitions", sa.Column("reloaded_at", TIME))
    op.add_column("loaded_definitions", sa.Column("reload_seconds", sa.Float()))
    for table in ("dataset_versions", "ruleset_versions"):
        op.create_index(
            op.f(f"ix_{table}_unreported"),
            table,
            ["created_at"],
            postgresql_where=sa.text("reported_at is null"),
        )
    op.add_column("loaded_definitions", sa.Column("problem", sa.Text()))
    _make_reports()
    _fill_reports()
    _change_schedules()
    op.add_column("runs", sa.Column("expired_at", TIME))
    op.add_column("runs", sa.Column("report_id", sa.String(32)))
    op.create_index(op.f("ix_runs_report_id"), "runs", ["report_id"])
    op.create_foreign_key(
        op.f("fk_runs_report_id"), "runs", "reports", ["report_id"], ["id"], ondelete="SET NULL"
    )
    op.execute("UPDATE runs SET report_id = s.report_id FROM schedules s WHERE s.id = runs.schedule_id")
    op.create_index(
        op.f("ix_runs_succeeded"),
        "runs",
        ["report_id", "finished_at"],
        postgresql_where=sa.text("state = 'succeeded'"),
    )


def _make_reports() -> None:
    op.create_table(
        "reports",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("owner_id", sa.String(32), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("ruleset_id", sa.String(32), nullable=False),
        sa.Column("ruleset_version_id", sa.String(32)),
        sa.Column("parameters", JSON, server_default=sa.text("'{}'"), nullable=False),
        sa.Column("on_new_data", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("settle_seconds", sa.BigInteger(), server_default=sa.text("10"), nullable=False),
        sa.Column("fresh_within_seconds", sa.BigInteger()),
        sa.Column("paused_at", TIME),
        sa.Column("created_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name=op.f("fk_reports_owner_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["ruleset_id"], ["rulesets.id"], name=op.f("fk_reports_ruleset_id")),
        sa.ForeignKeyConstraint(
            ["ruleset_version_id"], ["ruleset_versions.id"], name=op.f("fk_reports_ruleset_version_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reports")),
        sa.UniqueConstraint("owner_id", "name", name=op.f("uq_reports_owner_id_name")),
    )
    op.create_index(op.f("ix_reports_ruleset_id"), "reports", ["ruleset_id"])
    op.create_table(
        "report_inputs",
        sa.Column("report_id", sa.String(32), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("dataset_id", sa.String(32), nullable=False),
        sa.Column("version_id", sa.String(32)),
        sa.ForeignKeyConstraint(
            ["report_id"], ["reports.id"], name=op.f("fk_report_inputs_report_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.id"], name=op.f("fk_report_inputs_dataset_id")),
        sa.ForeignKeyConstraint(
            ["version_id"], ["dataset_versions.id"], name=op.f("fk_report_inputs_version_id")
        ),
        sa.PrimaryKeyConstraint("report_id", "file", name=op.f("pk_report_inputs")),
    )
    op.create_index(op.f("ix_report_inputs_dataset_id"), "report_inputs", ["dataset_id"])


def _fill_reports() -> None:
    """Make a report of each schedule, under the schedule's id, which a report's name has only once for its owner."""
    op.execute(
        """
        INSERT INTO reports (id, owner_id, name, ruleset_id, ruleset_version_id, parameters, created_at, updated_at)
        SELECT s.id, s.owner_id, s.report_name, v.ruleset_id, v.id, s.parameters, s.created_at, s.updated_at
        FROM schedules s JOIN ruleset_versions v ON v.id = s.ruleset_version_id
        """
    )
    op.execute(
        """
        INSERT INTO report_inputs (report_id, file, dataset_id, version_id)
        SELECT s.id, input.key, v.dataset_id, v.id
        FROM schedules s, jsonb_each_text(s.inputs) AS input JOIN dataset_versions v ON v.id = input.value
        """
    )


def _change_schedules() -> None:
    op.add_column("schedules", sa.Column("report_id", sa.String(32)))
    op.add_column("schedules", sa.Column("name", sa.Text(), server_default="main", nullable=False))
    op.alter_column("schedules", "name", server_default=None)
    op.execute("UPDATE schedules SET report_id = id")
    op.alter_column("schedules", "report_id", nullable=False)
    op.create_foreign_key(
        op.f("fk_schedules_report_id"), "schedules", "reports", ["report_id"], ["id"], ondelete="CASCADE"
    )
    op.drop_constraint(op.f("uq_schedules_owner_id_report_name"), "schedules")
    op.create_unique_constraint(op.f("uq_schedules_report_id_name"), "schedules", ["report_id", "name"])
    for column in ("owner_id", "report_name", "ruleset_version_id", "inputs", "parameters"):
        op.drop_column("schedules", column)
    op.add_column(
        "schedules", sa.Column("missed", sa.String(8), server_default=sa.text("'last'"), nullable=False)
    )
    op.add_column(
        "schedules", sa.Column("unchanged", sa.String(8), server_default=sa.text("'run'"), nullable=False)
    )
    op.create_check_constraint(op.f("ck_schedules_missed"), "schedules", "missed in ('skip', 'last', 'all')")
    op.create_check_constraint(op.f("ck_schedules_unchanged"), "schedules", "unchanged in ('run', 'skip')")
    op.add_column(
        "schedules",
        sa.Column("handled_until", TIME, server_default=sa.text("clock_timestamp()"), nullable=False),
    )
    op.add_column("schedules", sa.Column("dagster_status", sa.String(16)))


def downgrade() -> None:
    """Take the revision back. Of each report the first schedule stays, with the versions that are the latest now."""
    op.drop_constraint(op.f("fk_runs_report_id"), "runs")
    op.drop_index(op.f("ix_runs_succeeded"), "runs")
    op.drop_index(op.f("ix_runs_report_id"), "runs")
    op.drop_column("runs", "report_id")
    op.drop_column("runs", "expired_at")
    _restore_schedules()
    op.drop_table("report_inputs")
    op.drop_table("reports")
    op.drop_column("loaded_definitions", "problem")
    op.drop_column("loaded_definitions", "reload_seconds")
    op.drop_column("loaded_definitions", "reloaded_at")
    for table in ("dataset_versions", "ruleset_versions"):
        op.drop_index(op.f(f"ix_{table}_unreported"), table)
    op.drop_column("ruleset_versions", "reported_at")
    op.drop_column("ruleset_versions", "summary")
    op.drop_column("dataset_versions", "reported_at")
    op.drop_column("dataset_versions", "profile")
    op.drop_column("dataset_versions", "received_at")
    op.drop_column("datasets", "expected_within_seconds")
    op.drop_column("datasets", "expected_timezone")
    op.drop_column("datasets", "expected_cron")


def _restore_schedules() -> None:
    op.execute(
        """
        DELETE FROM schedules s WHERE EXISTS (
            SELECT FROM schedules o WHERE o.report_id = s.report_id AND (o.created_at, o.id) < (s.created_at, s.id))
        """
    )
    op.add_column("schedules", sa.Column("owner_id", sa.String(32)))
    op.add_column("schedules", sa.Column("report_name", sa.Text()))
    op.add_column("schedules", sa.Column("ruleset_version_id", sa.String(32)))
    op.add_column("schedules", sa.Column("inputs", JSON))
    op.add_column("schedules", sa.Column("parameters", JSON, server_default=sa.text("'{}'"), nullable=False))
    op.execute(
        """
        UPDATE schedules s SET
            owner_id = r.owner_id, report_name = r.name, parameters = r.parameters,
            ruleset_version_id = coalesce(r.ruleset_version_id, (
                SELECT v.id FROM ruleset_versions v WHERE v.ruleset_id = r.ruleset_id ORDER BY v.number DESC LIMIT 1)),
            inputs = (SELECT jsonb_object_agg(i.file, coalesce(i.version_id, (
                SELECT v.id FROM dataset_versions v WHERE v.dataset_id = i.dataset_id ORDER BY v.number DESC LIMIT 1)))
                FROM report_inputs i WHERE i.report_id = r.id)
        FROM reports r WHERE r.id = s.report_id
        """
    )
    for column in ("owner_id", "report_name", "ruleset_version_id", "inputs"):
        op.alter_column("schedules", column, nullable=False)
    op.drop_constraint(op.f("uq_schedules_report_id_name"), "schedules")
    op.drop_constraint(op.f("fk_schedules_report_id"), "schedules")
    for column in ("report_id", "name", "missed", "unchanged", "handled_until", "dagster_status"):
        op.drop_column("schedules", column)
    op.create_unique_constraint(
        op.f("uq_schedules_owner_id_report_name"), "schedules", ["owner_id", "report_name"]
    )
    op.create_foreign_key(
        op.f("fk_schedules_owner_id"), "schedules", "users", ["owner_id"], ["id"], ondelete="CASCADE"
    )
    op.create_foreign_key(
        op.f("fk_schedules_ruleset_version_id"),
        "schedules",
        "ruleset_versions",
        ["ruleset_version_id"],
        ["id"],
    )
