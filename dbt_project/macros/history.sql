{# Before a night is written: remove what an earlier try of the same night left. Part of the model's transaction. #}
{% macro forget_nights_from_as_of(column) -%}
    {%- if is_incremental() -%}
        delete from {{ this }} where {{ column }} >= {{ as_of() }}
    {%- endif -%}
{%- endmacro %}


{# Puts a history back to the evening before `as_of`: versions begun since go, versions closed since are open again. #}
{% macro reopen_history_at_as_of() -%}
    {%- if is_incremental() -%}
        delete from {{ this }} where valid_from >= {{ as_of() }};
        update {{ this }} set valid_to = null where valid_to >= {{ as_of() }}
    {%- endif -%}
{%- endmacro %}
