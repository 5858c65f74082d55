{# Before a log's nights are appended: remove what an earlier try of this night left, and the newest night there is,
   for a night whose marts failed may have been resolved again since. Part of the model's transaction. #}
{% macro forget_newest_nights(column) -%}
    {%- if is_incremental() -%}
        delete from {{ this }} where {{ column }} >= least({{ as_of() }}, (select max({{ column }}) from {{ this }}))
    {%- endif -%}
{%- endmacro %}


{# Puts a history back to the evening before `as_of`: versions begun since go, versions closed since are open again.
   An attribute that the history does not know yet becomes a column first, so that no change of the model costs the past. #}
{% macro reopen_history_at_as_of() -%}
    {%- if is_incremental() -%}
        {%- set known = adapter.get_columns_in_relation(this) | map(attribute='name') | list -%}
        {%- for column in model.columns.values() if column.name not in known -%}
        alter table {{ this }} add column {{ column.name }} {{ column.data_type }};
        {% endfor -%}
        delete from {{ this }} where valid_from >= {{ as_of() }};
        update {{ this }} set valid_to = null where valid_to >= {{ as_of() }}
    {%- endif -%}
{%- endmacro %}
