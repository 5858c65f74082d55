{# Whether the served version has this mart; if so its file is attached, read-only, as the database `published`. Which file
   it is says the pointer, whose shape `segment_engine.runtime.published` knows. When the project is parsed the answer is
   yes, so that dbt sees what a model may read. #}
{% macro has_published(mart) -%}
    {%- if not execute -%}
        {{ return(true) }}
    {%- endif -%}
    {%- set folder = (env_var('CDP_DATA_DIR', 'data') ~ '/published/') | replace("'", "''") -%}
    {%- set pointer = run_query("select content->>'file' from read_text('" ~ folder ~ "CURRENT')").rows -%}
    {%- if pointer | length == 0 -%}
        {{ return(false) }}
    {%- endif -%}
    {%- do run_query("attach if not exists '" ~ folder ~ pointer[0][0] ~ "' as published (read_only)") -%}
    {%- set found -%}
        select table_name
        from duckdb_tables()
        where database_name = 'published' and schema_name = 'marts' and table_name = '{{ mart }}'
    {%- endset -%}
    {{ return(run_query(found).rows | length > 0) }}
{%- endmacro %}


{# The mart that the runs of a day are compared with, or nothing where there is none: the served version's when that is of
   an earlier day, or has no other to be compared with; else that of the version its pointer names (`breaker_base`). #}
{% macro breaker_base(mart) -%}
    {%- set served = source('published', mart) -%}
    {%- if not execute -%}
        {{ return(served) }}
    {%- elif not has_published(mart) -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set folder = (env_var('CDP_DATA_DIR', 'data') ~ '/published/') | replace("'", "''") -%}
    {%- set pointed -%}
        select content->>'breaker_base' as base
        from read_text('{{ folder }}CURRENT')
        where
            (content->>'as_of')::date = {{ as_of() }}
            and base in (select parse_filename(file) from glob('{{ folder }}marts-*.duckdb'))
    {%- endset -%}
    {%- set files = run_query(pointed).rows -%}
    {%- if files | length == 0 -%}
        {{ return(served) }}
    {%- endif -%}
    {%- do run_query("attach if not exists '" ~ folder ~ files[0][0] ~ "' as breaker_base (read_only)") -%}
    {{ return('breaker_base.marts.' ~ mart) }}
{%- endmacro %}


{# A column in the type its contract promises today, whatever it was when it was published. (A unit test's model and a
   linter's know no columns.) #}
{% macro as_promised(column) -%}
    {{ column }}
    {%- if model is defined and column in model.columns -%}
        ::{{ model.columns[column].data_type }} as {{ column }}
    {%- endif -%}
{%- endmacro %}
