{# A name as it is compared, or null when it names nobody: the text of `name_norm_sql` in pipelines/identity/keys.py. #}
{% macro name_norm(column) -%}
{%- set remarks_and_signs %}[(（\[【].*?[)）\]】]|[\s·•・.,，。_*-]{% endset -%}
{%- set bare %}regexp_replace(lower({{ column }}), '{{ remarks_and_signs }}', '', 'g'){% endset -%}
{%- set name %}regexp_replace({{ bare }}, '[0-9]+$', ''){% endset -%}
{%- set no_names -%}
    '', '未知', '无', '无名', '无名氏', '匿名', '不详', '测试', '患者', 'test', 'unknown', 'null', 'none'
{%- endset -%}
case when {{ name }} not in ({{ no_names }}) then {{ name }} end
{%- endmacro %}
