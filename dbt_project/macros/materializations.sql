{# Tables and views, replaced in one transaction: what stood there goes and the new one comes, or neither. dbt-duckdb's
   own builds beside the old under another name, renames twice and drops; each of these steps gathers every macro of
   dbt's anew (10 ms of Python), for 120 models a third of a small night. What is created, and that a contract is
   enforced before anything is touched, stays dbt-duckdb's. #}
{% materialization table, adapter='duckdb' -%}
    {{ return(replace_relation(this.incorporate(type='table'))) }}
{%- endmaterialization %}


{% materialization view, adapter='duckdb' -%}
    {{ return(replace_relation(this.incorporate(type='view'))) }}
{%- endmaterialization %}


{% macro replace_relation(relation) -%}
    {%- set existing = load_cached_relation(relation) -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {% call statement('main') -%}
        {%- if existing is not none %}
        drop {{ existing.type }} if exists {{ existing }};
        {%- endif %}
        {{ create_table_as(False, relation, sql) if relation.is_table else get_create_view_as_sql(relation, sql) }}
    {%- endcall %}
    {% do persist_docs(relation, model) %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do adapter.commit() %}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [relation]}) }}
{%- endmacro %}


{# The comments of a relation and its columns in one statement. A contract says which columns there are; without one
   dbt asks the warehouse. #}
{% macro duckdb__persist_docs(relation, model, for_relation, for_columns) -%}
    {%- if not model.config.contract.enforced -%}
        {{ return(default__persist_docs(relation, model, for_relation, for_columns)) }}
    {%- endif -%}
    {%- set comments -%}
        {%- if for_relation and config.persist_relation_docs() and model.description -%}
        comment on {{ relation.type }} {{ relation }} is {{ duckdb_escape_comment(model.description) }};
        {% endif -%}
        {%- if for_columns and config.persist_column_docs() -%}
        {%- for column in model.columns.values() -%}
        comment on column {{ relation }}.{{ adapter.quote(column.name) if column.quote else column.name }}
            is {{ duckdb_escape_comment(column.description) }};
        {% endfor -%}
        {%- endif -%}
    {%- endset -%}
    {%- if comments -%}
        {%- call statement('persist_docs') %}{{ comments }}{% endcall -%}
    {%- endif -%}
{%- endmacro %}
