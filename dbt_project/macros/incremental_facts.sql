{# An incremental fact equals its full refresh: before a night's rows are appended, every row that could differ goes.
   The model then appends the rows of batches it holds nothing of, and of identities it holds nothing of under their
   present customer. Hooks and insert are one transaction. #}

{# A number for a user of an application that does not give the openid away; 63 bits of MD5, equal on every machine. #}
{% macro identity_id(app_id, openid) -%}
    cast(md5_number_lower({{ app_id }} || ':' || {{ openid }}) // 2 as bigint)
{%- endmacro %}


{# Rows whose identity is now somebody else's, or nobody's.
   customers: relation with customer_key, one row per identity; identity: the expression on it that is `column` in the fact. #}
{% macro forget_rows_of_moved_identities(customers, identity, column) -%}
    {%- if is_incremental() -%}
        delete from {{ this }} as held
        where not exists (
            select 1
            from {{ customers }} as customers
            where {{ identity }} = held.{{ column }} and customers.customer_key = held.customer_key
        )
    {%- endif -%}
{%- endmacro %}


{# Rows that came again in a batch the fact has not seen: the newer delivery may say something else. #}
{% macro forget_redelivered_rows(staged, key) -%}
    {%- if is_incremental() -%}
        delete from {{ this }}
        where {{ key }} in (
            select {{ key }}
            from {{ staged }}
            where _batch_id in (
                select distinct _batch_id from {{ staged }}
                except
                select distinct _batch_id from {{ this }}
            )
        )
    {%- endif -%}
{%- endmacro %}
