{# Schemas are called what the configuration says: no prefix of the target, so SQL in the documents works everywhere. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}


{# A masked view has the name of the mart it stands before. dbt wants unique model names, so `analyst_dim_customer`
   is the model and `analyst.dim_customer` the view. #}
{% macro generate_alias_name(custom_alias_name=none, node=none) -%}
    {%- if custom_alias_name -%}
        {{ custom_alias_name | trim }}
    {%- elif node.resource_type == 'model' and node.name.startswith('analyst_') -%}
        {{ node.name[8:] }}
    {%- else -%}
        {{ node.name }}
    {%- endif -%}
{%- endmacro %}


{# A mart as a view of the same file must name it: schema and table, without the database. The published copy of the
   file has another catalogue name. #}
{% macro same_file(relation) -%}
    {{ relation.include(database=false) }}
{%- endmacro %}
