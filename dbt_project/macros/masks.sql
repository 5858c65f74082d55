{# 13812345678 → 138****5678, a number with country code likewise. Whatever else stands where a phone is expected (two
   numbers, a remark, a landline) shows at most its last two characters: how much of a text gives a person away depends
   on its form, not on its length. The text of `masked_value_sql` in pipelines/identity/keys.py. #}
{% macro mask_phone(expression) -%}
case
    when regexp_full_match({{ expression }}, '[+]?[0-9]{11,15}')
        then left({{ expression }}, length({{ expression }}) - 8) || '****' || right({{ expression }}, 4)
    when length({{ expression }}) >= 7 then '****' || right({{ expression }}, 2)
    when {{ expression }} is not null then '****'
end
{%- endmacro %}


{# 唐三 → 唐*, 唐三藏 → 唐**: the first character and one star for each other. #}
{% macro mask_name(expression) -%}
left({{ expression }}, 1) || repeat('*', greatest(length({{ expression }}) - 1, 1))
{%- endmacro %}


{# 440301199001011234 → ******19900101****: the district and the serial number are gone, the birth date is a column of its
   own. With the first six or the last four signs the whole number could be worked out. Any other document shows nothing. #}
{% macro mask_id_number(expression) -%}
case
    when regexp_full_match({{ expression }}, '[0-9]{17}[0-9Xx]')
        then '******' || substr({{ expression }}, 7, 8) || '****'
    when {{ expression }} is not null then '****'
end
{%- endmacro %}


{# A view of a mart tells what its columns mean like the mart itself: the comments of columns of the same name. #}
{% macro copy_column_comments() -%}
    {%- if execute -%}
        {%- set marts = graph.nodes.values()
            | selectattr('resource_type', 'equalto', 'model')
            | selectattr('schema', 'equalto', 'marts')
            | selectattr('alias', 'equalto', this.identifier) | list -%}
        {%- set shown = adapter.get_columns_in_relation(this) | map(attribute='name') | list -%}
        {%- for column in marts[0].columns.values() if marts and column.name in shown %}
            comment on column {{ this }}.{{ column.name }} is {{ duckdb_escape_comment(column.description) }};
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
