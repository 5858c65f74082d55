{# dbt's own question, asked for every incremental model: a table whose columns or types are not those of its contract is
   built anew, so an upgrade that adds a column needs no hand. `is_incremental()` asks it too, so model and hooks agree. #}
{% macro should_full_refresh() -%}
    {%- set asked = config.get('full_refresh') -%}
    {%- if asked is none -%}
        {%- set asked = flags.FULL_REFRESH -%}
    {%- endif -%}
    {{ return(asked or (model.config.materialized == 'incremental' and differs_from_its_contract())) }}
{%- endmacro %}


{% macro differs_from_its_contract() -%}
    {%- if not execute or load_cached_relation(this) is none -%}
        {{ return(false) }}
    {%- endif -%}
    {%- set differences -%}
        select column_name
        from (
            describe select
            {%- for column in model.columns.values() %}
            null::{{ column.data_type }} as {{ column.name }}{{ "," if not loop.last }}
            {%- endfor %}
        ) as promised
        full join (
            select column_name, data_type
            from duckdb_columns()
            where
                database_name = '{{ this.database }}'
                and schema_name = '{{ this.schema }}'
                and table_name = '{{ this.identifier }}'
        ) as built using (column_name)
        where promised.column_type is distinct from built.data_type
    {%- endset -%}
    {{ return(run_query(differences).rows | length > 0) }}
{%- endmacro %}
