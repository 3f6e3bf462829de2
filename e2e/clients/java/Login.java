import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jwt.SignedJWT;
import com.nimbusds.oauth2.sdk.id.ClientID;
import com.nimbusds.oauth2.sdk.id.Issuer;
import com.nimbusds.openid.connect.sdk.Nonce;
import com.nimbusds.openid.connect.sdk.op.OIDCProviderMetadata;
import com.nimbusds.openid.connect.sdk.validators.IDTokenValidator;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import jakarta.servlet.http.HttpSession;
import java.io.FileInputStream;
import java.lang.reflect.Proxy;
import java.net.URI;
import java.net.URLDecoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;
import org.springframework.security.authentication.ProviderManager;
import org.springframework.security.oauth2.client.InMemoryOAuth2AuthorizedClientService;
import org.springframework.security.oauth2.client.endpoint.RestClientAuthorizationCodeTokenResponseClient;
import org.springframework.security.oauth2.client.oidc.authentication.OidcAuthorizationCodeAuthenticationProvider;
import org.springframework.security.oauth2.client.oidc.userinfo.OidcUserService;
import org.springframework.security.oauth2.client.registration.ClientRegistrations;
import org.springframework.security.oauth2.client.registration.InMemoryClientRegistrationRepository;
import org.springframework.security.oauth2.client.web.DefaultOAuth2AuthorizationRequestResolver;
import org.springframework.security.oauth2.client.web.HttpSessionOAuth2AuthorizationRequestRepository;
import org.springframework.security.oauth2.client.web.OAuth2LoginAuthenticationFilter;
import org.springframework.security.oauth2.jwt.JwtDecoders;

/** Logs in as a library does it, once for each argument HOW=ISSUER. What went wrong ends with a form feed. */
public class Login {
    static final String CALLBACK = "http://acme.localhost:3000/login/oauth2/code/provider";

    interface Way { void at(String issuer) throws Exception; }

    public static void main(String[] args) throws Exception {
        trust(System.getenv("SSL_CERT_FILE"));
        Map<String, Way> ways = Map.of("spring", Login::spring, "forgetful", Login::forgetful, "api", Login::api, "nimbus", Login::nimbus, "hasty-nimbus", Login::hasty);
        for (String arg : args) {
            String[] how = arg.split("=", 2);
            try {
                ways.get(how[0]).at(how[1]);
            } catch (Exception e) {
                e.printStackTrace(System.out);
            }
            System.out.println("\f");
        }
    }

    /** A login through Spring Security's filters. */
    static void spring(String issuer) throws Exception { spring(issuer, true); }

    /** The same, whose session is lost between the two requests. */
    static void forgetful(String issuer) throws Exception { spring(issuer, false); }

    static void spring(String issuer, boolean remembers) throws Exception {
        var registrations = new InMemoryClientRegistrationRepository(ClientRegistrations.fromIssuerLocation(issuer)
            .registrationId("provider").clientId("atlas-web").clientSecret("secret").redirectUri(CALLBACK).scope("openid").build());
        Map<String, Object> session = new HashMap<>();
        var began = request("http://acme.localhost:3000/oauth2/authorization/provider", Map.of(), session);
        var authorization = new DefaultOAuth2AuthorizationRequestResolver(registrations, "/oauth2/authorization").resolve(began, "provider");
        new HttpSessionOAuth2AuthorizationRequestRepository().saveAuthorizationRequest(authorization, began, response());
        var came = browse(authorization.getAuthorizationRequestUri());
        var filter = new OAuth2LoginAuthenticationFilter(registrations, new InMemoryOAuth2AuthorizedClientService(registrations));
        filter.setAuthenticationManager(new ProviderManager(
            new OidcAuthorizationCodeAuthenticationProvider(new RestClientAuthorizationCodeTokenResponseClient(), new OidcUserService())));
        filter.attemptAuthentication(request(CALLBACK, came, remembers ? session : new HashMap<>()), response());
    }

    /** An API that gets the provider's token. */
    static void api(String issuer) throws Exception {
        JwtDecoders.fromIssuerLocation(issuer).decode(idToken(OIDCProviderMetadata.resolve(new Issuer(issuer)), "n"));
    }

    /** Nimbus alone. */
    static void nimbus(String issuer) throws Exception {
        var provider = OIDCProviderMetadata.resolve(new Issuer(issuer));
        var token = SignedJWT.parse(idToken(provider, "n"));
        new IDTokenValidator(provider.getIssuer(), new ClientID("atlas-web"), JWSAlgorithm.RS256, provider.getJWKSetURI().toURL()).validate(token, new Nonce("n"));
    }

    /** Nimbus with time limits, in milliseconds. */
    static void hasty(String issuer) throws Exception { OIDCProviderMetadata.resolve(new Issuer(issuer), 500, 500); }

    /** The ID token of a login without a library. */
    static String idToken(OIDCProviderMetadata provider, String nonce) throws Exception {
        var came = browse(provider.getAuthorizationEndpointURI() + "?nonce=" + nonce + "&redirect_uri=" + CALLBACK);
        var form = HttpRequest.BodyPublishers.ofString("client_id=atlas-web&code=" + came.get("code")[0]);
        var answer = HttpClient.newHttpClient().send(HttpRequest.newBuilder(provider.getTokenEndpointURI())
            .header("Content-Type", "application/x-www-form-urlencoded").POST(form).build(), HttpResponse.BodyHandlers.ofString());
        return answer.body().replaceFirst("(?s).*\"id_token\":\"([^\"]*)\".*", "$1");
    }

    /** What a browser brings back. */
    static Map<String, String[]> browse(String at) throws Exception {
        var answer = HttpClient.newHttpClient().send(HttpRequest.newBuilder(URI.create(at)).build(), HttpResponse.BodyHandlers.discarding());
        Map<String, String[]> parameters = new HashMap<>();
        for (String pair : URI.create(answer.headers().firstValue("Location").orElseThrow()).getRawQuery().split("&")) {
            String[] parts = pair.split("=", 2);
            parameters.put(parts[0], new String[] {URLDecoder.decode(parts[1], StandardCharsets.UTF_8)});
        }
        return parameters;
    }

    static HttpServletRequest request(String at, Map<String, String[]> parameters, Map<String, Object> attributes) {
        Map<String, Object> own = new HashMap<>();
        URI uri = URI.create(at);
        HttpSession session = fake(HttpSession.class, Map.of(), attributes);
        return fake(HttpServletRequest.class, Map.of(
            "getParameterMap", parameters, "getSession", session, "getMethod", "GET", "getScheme", uri.getScheme(), "getServerName", uri.getHost(),
            "getServerPort", uri.getPort(), "getRequestURI", uri.getPath(), "getRequestURL", new StringBuffer(at), "getContextPath", "", "getLocale", Locale.ROOT), own);
    }

    static HttpServletResponse response() { return fake(HttpServletResponse.class, Map.of(), new HashMap<>()); }

    /** A part of a servlet container: constant answers, and attributes. */
    static <T> T fake(Class<T> type, Map<String, Object> answers, Map<String, Object> attributes) {
        return type.cast(Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type}, (self, method, args) -> switch (method.getName()) {
            case "getAttribute" -> attributes.get(args[0]);
            case "setAttribute" -> attributes.put((String) args[0], args[1]);
            case "removeAttribute" -> attributes.remove(args[0]);
            case "getParameter" -> answers.get("getParameterMap") instanceof Map<?, ?> m && m.get(args[0]) instanceof String[] v ? v[0] : null;
            default -> answers.get(method.getName());
        }));
    }

    /** Trusts the authorities of a PEM file, and no other. */
    static void trust(String file) throws Exception {
        var store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null, null);
        try (var in = new FileInputStream(file)) {
            store.setCertificateEntry("authority", CertificateFactory.getInstance("X.509").generateCertificate(in));
        }
        var trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(store);
        var context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        SSLContext.setDefault(context);
    }
}
