SELECT call_id, q.text->>'$.messages[0].content' AS asked, a.text->>'$.choices[0].message.content' AS answered
FROM calls JOIN bodies q USING (call_id) JOIN bodies a USING (call_id)
WHERE q.side = 'request' AND a.side = 'response'
