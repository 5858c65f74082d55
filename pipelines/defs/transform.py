"""dbt assets: what identity reads, and everything behind identity with its tests as asset checks."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtCliResource, dbt_assets

from pipelines.defs.breaker import CHECKING_OP, Accepted, accepted_by
from pipelines.defs.partitions import BUSINESS_DAYS, SINGLE_RUN
from pipelines.defs.resources import OWNERS, POOL, Platform, business_day, dbt_project
from pipelines.defs.telling import without_values_of
from pipelines.steps import building
from pipelines.warehouse.built import Stage
from pipelines.warehouse.dbt import BEFORE_IDENTITY, BUILD_OPTIONS, dbt_environment

PROJECT = dbt_project()


class Translator(DagsterDbtTranslator):
    """Asset keys `schema/name`; groups by layer and domain; raw and identity tables are the assets that write them."""

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        if dbt_resource_props["resource_type"] == "source":
            return dg.AssetKey([dbt_resource_props["source_name"], dbt_resource_props["name"]])
        return dg.AssetKey([dbt_resource_props["config"]["schema"], dbt_resource_props["name"]])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        layer, *domain = dbt_resource_props["fqn"][1:-1]
        return "_".join([layer, *domain])

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str]:
        return OWNERS


TRANSLATOR = Translator(
    settings=DagsterDbtTranslatorSettings(enable_asset_checks=True, enable_source_tests_as_checks=True)
)


@dbt_assets(
    manifest=PROJECT.manifest_path,
    project=PROJECT,
    select=" ".join(BEFORE_IDENTITY),
    name="identity_inputs",
    dagster_dbt_translator=TRANSLATOR,
    partitions_def=BUSINESS_DAYS,
    backfill_policy=SINGLE_RUN,
    pool=POOL,
)
def identity_inputs(context: dg.AssetExecutionContext, dbt: DbtCliResource, platform: Platform) -> Iterator[Any]:
    """Staging and identity's input relations."""
    day, whole = business_day(context), context.selected_asset_keys == identity_inputs.keys
    with (
        platform.writing("identity inputs", day) as settings,
        building(settings, day, Stage.INPUTS, whole=whole),
        dbt_environment(settings, day),
    ):
        yield from without_values_of(dbt.cli(["build", *BUILD_OPTIONS], context=context)).stream()


@dbt_assets(
    manifest=PROJECT.manifest_path,
    project=PROJECT,
    exclude=" ".join([*BEFORE_IDENTITY, "resource_type:unit_test"]),
    name=CHECKING_OP,
    dagster_dbt_translator=TRANSLATOR,
    partitions_def=BUSINESS_DAYS,
    backfill_policy=SINGLE_RUN,
    pool=POOL,
)
def marts_and_checks(
    context: dg.AssetExecutionContext, dbt: DbtCliResource, platform: Platform, config: Accepted
) -> Iterator[Any]:
    """Marts, analyst views and their tests; a failing test fails the step, so nothing is published."""
    day, whole = business_day(context), context.selected_asset_keys == marts_and_checks.keys
    accepted = accepted_by(config)
    with (
        platform.writing("marts", day) as settings,
        building(settings, day, Stage.CHECKED, whole=whole),
        dbt_environment(settings, day, accepted=accepted),
    ):
        yield from without_values_of(dbt.cli(["build", *BUILD_OPTIONS], context=context)).stream()
