{# Before a log's nights are appended: remove what an earlier try of this night left, and the newest night there is,
   for a night whose marts failed may have been resolved again since. Part of the model's transaction. #}
{% macro forget_newest_nights(column) -%}
    {%- if is_incremental() -%}
        delete from {{ this }} where {{ column }} >= least({{ as_of() }}, (select max({{ column }}) from {{ this }}))
    {%- endif -%}
{%- endmacro %}
