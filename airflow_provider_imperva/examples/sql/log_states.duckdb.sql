-- What became of the logs: the ledger's last word on each number, by repository and state.
SELECT
    repository,
    state,
    sum(sequence_to - sequence + 1) AS numbers,
    sum(lines) AS log_lines,
    sum(quarantined_lines) AS quarantined_lines
FROM (
    SELECT
        *,
        row_number() OVER (PARTITION BY repository, prefix, sequence, sequence_to ORDER BY commit_number DESC) AS age
    FROM logs
) AS entries
WHERE age = 1
GROUP BY repository, state
ORDER BY repository, state
