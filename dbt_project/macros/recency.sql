{# A number that grows with the instant `at` and, at the same instant, is settled by the id `tie`: for
   `max_by(value, recency)`, which is several times faster over numbers than over rows, and never leaves a tie to chance. #}
{% macro recency(at, tie) -%}
    epoch_us({{ at }})::hugeint * 18446744073709551616::hugeint + hash({{ tie }})::hugeint
{%- endmacro %}
