// The second half of it (/tenants/*/returnto*): the way back to a path of the
// tenant's site.
function handler(event) {
  var request = event.request;
  var match = request.uri.match(/^\/tenants\/([a-z0-9-]+)\/returnto(\/.*)/);
  var host = request.headers.host.value.replace(/^auth/, match[1]);
  var query = Object.keys(request.querystring)
    .map(function (name) { return name + "=" + request.querystring[name].value; })
    .join("&");
  return {
    statusCode: 302,
    statusDescription: "Found",
    headers: { location: { value: "https://" + host + match[2] + "?" + query } },
  };
}
